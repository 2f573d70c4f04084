"""The packing probe: its rounds on made-up clocks, and real trials on CPU."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from rich.console import Console

from absgd.config import RunConfig
from absgd.datasets import load_splits
from tests.support.gpus import needs_gpu
from tests.support.spaces import first_plan, make
from tune_runs.preview import packing_probe as probing
from tune_runs.preview.epoch_times import stage_two_config
from tune_runs.preview.packing_probe import (
    NUM_ROUNDS,
    looked_at_twice,
    measured_packings,
    pass_s,
    pass_workload,
    probe_packings,
    without_repeated,
)
from tune_runs.preview.packings import Packing, PackingProbe, PackingResult, Speedup, packings_to_try, proposed_packing
from tune_runs.preview.probe_processes import ProbeProcessLost, TimedPass
from tune_runs.preview.probe_table import draw_probe
from tune_runs.preview.probe_trials import OneTrial, PassRequest, TrialsInTurns
from tune_runs.space.model import SearchSpace

SMALL: dict[str, Any] = {"base/data": {"name": "digits", "val_per_class": 5, "n_max": 12}, "base/batch_size": 32}
GPU_WAYS, COHORTS = packings_to_try(None, cpu=1, num_cpus=16, num_gpus=1, most=100)
LOST = ProbeProcessLost("its process ended by SIGKILL")
FULL = ProbeProcessLost("out of GPU memory (torch.OutOfMemoryError: CUDA out of memory)", is_gpu_memory=True)


class FakeMachine:
    """Takes given seconds for each packing, and loses a process at a given call."""

    def __init__(self, seconds: dict[int, float], lost: dict[int, tuple[int, ProbeProcessLost]] | None = None) -> None:
        self.seconds, self.lost = seconds, lost or {}
        self.asked: list[int] = []

    def train(self, packing: Packing) -> list[TimedPass]:
        self.asked.append(packing.trials)
        time, error = self.lost.get(packing.trials, (0, None))
        if error is not None and self.asked.count(packing.trials) == time:
            raise error
        return [TimedPass(0.0, self.seconds[packing.trials], 10)] * packing.processes

    def rows(self, packings: Sequence[Packing] = GPU_WAYS, kind_s: float = 1000.0) -> list[PackingResult]:
        return measured_packings(
            self.train, packings, 100, lambda passes: sum(one.peak_bytes for one in passes), kind_s
        )


def test_rows_compare_all_runs_with_one_in_the_same_rounds() -> None:
    machine = FakeMachine({1: 1.0, 2: 1.0, 4: 1.25, 8: 2.0})
    rows = machine.rows()
    assert [row.images_per_s for row in rows] == [100, 200, 320, 400]
    assert [row.speedup for row in rows] == [(ratio,) * 3 for ratio in (1, 2, 3.2, 4)]
    assert [row.peak_bytes for row in rows] == [10, 20, 40, 80]
    assert {row.num_rounds for row in rows} == {NUM_ROUNDS}
    assert machine.asked[:4] == [1, 2, 4, 8]
    rounds = [machine.asked[4 + 4 * number :][:4] for number in range(NUM_ROUNDS)]
    assert all(sorted(one) == [1, 2, 4, 8] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1, "in an order drawn anew"
    assert len(machine.asked) == 4 * (1 + NUM_ROUNDS)


def test_rows_of_a_cohort_count_all_its_trials() -> None:
    assert [row.images_per_s for row in FakeMachine({1: 1.0, 2: 1.0, 4: 1.0, 8: 2.0}).rows(COHORTS)] == [
        100,
        200,
        400,
        400,
    ]


def test_out_of_gpu_memory_is_a_row_and_no_more_trials_are_tried() -> None:
    machine = FakeMachine({1: 1.0, 2: 1.0}, {4: (1, FULL)})
    one, two, four = machine.rows()
    assert (one.failure, two.failure, four.failure) == ("", "", "out of GPU memory")
    assert math.isnan(four.images_per_s)
    assert machine.asked.count(4) == 1
    assert 8 not in machine.asked
    assert machine.asked[3] == 2, "those that were ended with it warm up anew"
    assert len(machine.asked) == 4 + 2 * NUM_ROUNDS


def test_first_trial_that_is_lost_ends_it() -> None:
    machine = FakeMachine({}, {1: (1, LOST)})
    (only,) = machine.rows()
    assert (only.packing.trials, only.failure) == (1, "its process ended by SIGKILL")
    assert machine.asked == [1]


@pytest.mark.parametrize("time", [2, 4])
def test_trials_lost_in_a_later_round_keep_earlier_measurements(time: int) -> None:
    machine = FakeMachine({1: 1.0, 2: 1.0}, {2: (time, LOST)})
    *measured, lost = machine.rows(GPU_WAYS[:2])
    assert (lost.packing.trials, lost.failure) == (2, "its process ended by SIGKILL")
    assert [row.packing.trials for row in measured if not row.failure] == ([1] if time > 2 else [])
    assert machine.asked.count(2) == time, "no further round"


def test_long_batches_end_with_two_ways_and_one_round() -> None:
    machine = FakeMachine({1: 60.0, 2: 120.0, 4: 240.0})
    *measured, skipped = machine.rows(kind_s=20)
    assert [(row.packing.trials, row.num_rounds) for row in measured] == [(1, 1), (2, 1)]
    assert (skipped.packing.trials, skipped.failure) == (4, "no time was left")
    assert len(machine.asked) == 4


def test_rounds_end_with_the_time() -> None:
    machine = FakeMachine({1: 1.0, 2: 2.0, 4: 4.0, 8: 8.0})
    assert all(not row.failure for row in machine.rows(kind_s=46))
    assert len(machine.asked) == 4 * 3, "15 s each time"


def test_time_of_a_pass_lets_all_rounds_fit_without_any_gain() -> None:
    seconds = pass_s([GPU_WAYS, COHORTS], probing.KIND_S)
    assert sum(packing.trials for packing in GPU_WAYS) * seconds * (NUM_ROUNDS + 1) == pytest.approx(probing.KIND_S)


def test_load_is_a_part_of_a_long_epoch_and_several_short_ones() -> None:
    config = stage_two_config(make(SMALL), make(SMALL).scenario_list[0])
    assert config is not None
    splits = load_splits(config)
    whole = len(splits.train)
    assert pass_workload(splits, 32, epoch_s=0.1, seconds=0.5).num_images == 5 * whole
    assert pass_workload(splits, 32, epoch_s=0.4, seconds=0.5).num_images == whole
    part = pass_workload(splits, 12, epoch_s=5.0, seconds=0.5)
    assert (part.epochs, len(part.splits.train)) == (1, round(whole / 10))
    assert len(pass_workload(splits, 12, epoch_s=1e6, seconds=0.5).splits.train) == 12, "a batch at least"


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return make(SMALL)


def probed_run(space: SearchSpace) -> tuple[RunConfig, Any]:
    config = stage_two_config(space, space.scenario_list[0])
    assert config is not None
    return probing._probed(config, "cpu"), load_splits(config)


def test_trials_in_turns_start_the_same_epoch_and_share_its_batches(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, splits = probed_run(space)
    trials = TrialsInTurns(config, splits, size=3)
    trials(PassRequest(trials=1, threads=1, epochs=2))
    trials(PassRequest(trials=3, threads=1, epochs=1))
    assert [trainer.next_epoch for trainer in trials._trainers.values()] == [3, 3, 3]
    seen: list[int] = []
    first = next(iter(trials._trainers.values()))
    source = first._train._source  # type: ignore[attr-defined]
    made = source.batch_of
    monkeypatch.setattr(source, "batch_of", lambda draw: seen.append(1) or made(draw))
    trials(PassRequest(trials=1, threads=1, epochs=1))
    trials(PassRequest(trials=3, threads=1, epochs=1))
    assert len(seen) == 2 * math.ceil(len(splits.train) / 32)


def test_trial_that_runs_out_of_gpu_memory_is_raised(space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    config, splits = probed_run(space)
    trials = TrialsInTurns(config, splits, size=2)
    trials(PassRequest(1, 1, 1))

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("absgd.training.trainer.build_model", full)
    with pytest.raises(torch.OutOfMemoryError):
        trials(PassRequest(2, 1, 1))


def test_probe_trial_trains_the_requested_epochs_with_the_requested_threads(space: SearchSpace) -> None:
    config, splits = probed_run(space)
    trial = OneTrial(config, splits)
    assert trial(PassRequest(1, threads=2, epochs=2)) > 0
    assert torch.get_num_threads() == 2


def test_settings_hold_for_every_shipped_space() -> None:
    from tune_runs.request.space_files import load_space, shipped_spaces

    for name in shipped_spaces():
        space = load_space(name)
        config = stage_two_config(space, space.scenario_list[0])
        if config is not None:
            assert probing._probed(config, "cpu").epochs > 10**5


def drawn(found: PackingProbe, width: int = 80) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(draw_probe(found))
    return captured.get()


def of(packing: Packing, ratio: float, failure: str = "") -> PackingResult:
    return PackingResult(
        packing, 1000 * ratio, Speedup(ratio - 0.1, ratio, ratio + 0.1), NUM_ROUNDS, 3 * 2**30, failure
    )


def found(rows: Sequence[PackingResult], own: Packing | None) -> PackingProbe:
    return PackingProbe("cifar10-exp-0.01", "NVIDIA H100", tuple(rows), own, on_gpu=True)


ROWS = [of(GPU_WAYS[0], 1.0), of(GPU_WAYS[1], 1.8), of(GPU_WAYS[2], 2.5), of(GPU_WAYS[3], 0, "out of GPU memory")]


def test_table_shows_each_number_and_the_setting_to_write() -> None:
    text = drawn(found([*ROWS, of(COHORTS[3], 4.26)], own=GPU_WAYS[2]))
    assert "GPU memory" in text
    assert ["4", "{cpu:", "1,", "gpu:", "0.25}", "2,500", "2.50", "(2.40", "to", "2.60)", "3,072", "MiB"] in [
        line.split() for line in text.splitlines()
    ]
    assert "8 at once  {cpu: 1, gpu: 0.125} was not measured: out of GPU memory" in text
    assert "probed     cifar10-exp-0.01 on NVIDIA H100: medians of 5 rounds (least to most);" in text
    assert "proposed   resources: {cpu: 1, gpu: 1, cohort: 8}\n" in "\n".join(map(str.rstrip, text.splitlines())) + "\n"
    assert "the space's own setting is {cpu: 1, gpu: 0.25}, 2.50 of one against 4.26" in " ".join(text.split())
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())


def test_table_notes_that_the_space_has_the_setting_already() -> None:
    text = " ".join(drawn(found(ROWS, own=GPU_WAYS[2])).split())
    assert "proposed resources: {cpu: 1, gpu: 0.25}, as in the space 4 trials at once:" in text
    assert "the space's own setting" not in text


def test_table_without_a_measurement_of_the_space_or_any() -> None:
    assert "the space's own setting was not measured here" in " ".join(drawn(found(ROWS, own=None)).split())
    nothing = drawn(found([of(GPU_WAYS[0], 1, failure="its process ended by SIGKILL")], own=GPU_WAYS[0]))
    assert "proposed   nothing: no trial could be measured" in nothing
    assert "nan" not in nothing


def test_probe_imports_neither_ray_nor_optuna() -> None:
    for module, names in (
        ("tune_runs.preview.packing_probe", "ray optuna"),
        ("tune_runs.preview.probe_table", "ray optuna torch"),
    ):
        code = f"import sys, {module}; print([m for m in {names.split()} if m in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


@needs_gpu
def test_probe_on_a_gpu() -> None:
    fast = make({**SMALL, "base/device": {"fast": True}, "resources": {"gpu": 0.5}, "num_trials": 2})
    found = probe_packings(fast, first_plan(fast), epoch_s=0.5, num_cpus=2, num_gpus=1, say=lambda _: None, kind_s=2)
    assert [row.packing.trials for row in found.results] == [1, 2, 2]
    assert all(not row.failure and row.peak_bytes > 2**20 for row in found.results)
    assert found.on_gpu


def test_failed_cohort_of_one_keeps_its_row() -> None:
    one, two = Packing(1, 2, 0), Packing(1, 2, 0, cohort=2)
    other, lost = PackingResult(two), PackingResult(one, failure="out of GPU memory")
    assert without_repeated([PackingResult(one), other], one) == [other]
    assert without_repeated([lost], one) == [lost]
    full = PackingResult(two, failure="no room")
    assert without_repeated([full], one) == [full]


def test_number_that_cannot_be_is_measured_again() -> None:
    """One trial at 28 images a second and two at 536, because something else ran beside the first."""
    impossible, possible = [of(GPU_WAYS[0], 1.0), of(GPU_WAYS[1], 19.0)], ROWS[:2]
    said: list[str] = []
    given = iter([impossible, possible])
    assert looked_at_twice(lambda _: next(given), said.append) == possible
    assert said == [
        "measuring again: 2 trials at once cannot be 19 times as fast as one alone; other load on this machine may "
        "explain it"
    ]
    assert looked_at_twice(lambda _: possible, said.append) == possible
    assert len(said) == 1, "what can be is measured once"
    lost = [PackingResult(GPU_WAYS[0], failure="no time was left")]
    given = iter([impossible, lost])
    assert looked_at_twice(lambda _: next(given), said.append) == impossible


def test_nothing_is_proposed_from_a_number_that_cannot_be() -> None:
    doubtful = found([of(GPU_WAYS[0], 1.0), of(GPU_WAYS[1], 19.0)], own=GPU_WAYS[0])
    assert proposed_packing(doubtful.results) is None
    assert "proposed nothing: 2 trials at once cannot be 19 times as fast" in " ".join(drawn(doubtful).split())
    slow_on_all_threads = [of(GPU_WAYS[0], 1.0), of(GPU_WAYS[1], 3.9)]
    assert proposed_packing(slow_on_all_threads) == slow_on_all_threads[1]


def test_packings_of_a_first_round_that_was_lost_are_rows_too() -> None:
    machine = FakeMachine({1: 1.0, 2: 1.0}, {2: (2, LOST)})
    assert {row.packing.trials: row.failure for row in machine.rows(GPU_WAYS[:2])} == {
        1: "no time was left",
        2: "its process ended by SIGKILL",
    }
