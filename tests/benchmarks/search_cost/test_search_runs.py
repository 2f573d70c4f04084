"""The jobs of both sides, and the numbers read from their records."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from absgd.records import METRICS
from benchmarks.complete_curves.curve_training import random_configs, switch_epochs
from benchmarks.complete_curves.plain_asha import AshaClock
from benchmarks.search_cost import search_runs
from benchmarks.search_cost.search_cases import CASES, LONG_CASES, search_cases, search_cost_space
from benchmarks.search_cost.search_runs import (
    EpochChain,
    chain_of,
    curves_of,
    run_ours,
    run_plain,
    seconds_besides_epochs,
)
from tests.support.fake_tuner import FakeTuner, rising
from tune_runs.space.model import SearchSpace

STARTED = datetime(2026, 11, 24, tzinfo=UTC)


def trial(number: int, wall_s: float, inherited: int, trained: int, phase: str = "search") -> dict[str, Any]:
    return {
        "trial_id": f"digits-{number}",
        "scenario": "digits",
        "phase": phase,
        "started_at": STARTED + timedelta(seconds=number),
        "wall_s": wall_s,
        "epochs_inherited": inherited,
        "epochs_trained": trained,
    }


def epoch(number: int, epoch: int, inherited: bool = False) -> dict[str, Any]:
    """Make an epoch of two seconds."""
    return {"trial_id": f"digits-{number}", "epoch": epoch, "inherited": inherited, "train_s": 1.5, "val_s": 0.5}


TRIALS = [trial(0, 9.0, 0, 3, "control"), trial(2, 2.25, 2, 1), trial(1, 5.0, 1, 2)]


def test_chain_is_the_control_and_what_each_trial_inherits_and_trains() -> None:
    assert chain_of([*TRIALS, {**TRIALS[1], "scenario": "other"}], "digits") == EpochChain(3, ((2, 1), (1, 2)))
    assert EpochChain(3, ((2, 1), (1, 2))).epochs == 6


def test_first_trial_of_each_worker_is_left_out_of_overhead_seconds() -> None:
    epochs = [epoch(2, 0, inherited=True), epoch(2, 1, inherited=True), epoch(2, 2), epoch(1, 1), epoch(1, 2)]
    assert seconds_besides_epochs(TRIALS, epochs, num_workers=2) == [0.25]
    assert seconds_besides_epochs(TRIALS, epochs, num_workers=1) == [1.0, 0.25]


def metric_row(number: int, epoch: int, value: float) -> dict[str, Any]:
    return {"scenario": "digits", "number": number, "epoch": epoch, **dict.fromkeys(METRICS, value)}


def test_curves_are_separated_and_must_be_whole() -> None:
    rows = [metric_row(0, 0, 0.1), metric_row(1, 0, 0.2), metric_row(0, 1, 0.3)]
    found = curves_of(rows)
    assert {trial: [values[0] for values in curve] for trial, curve in found.items()} == {
        ("digits", 0): [0.1, 0.3],
        ("digits", 1): [0.2],
    }
    with pytest.raises(AssertionError, match="epochs in order"):
        curves_of([*rows, metric_row(1, 2, 0.4)])


@pytest.mark.parametrize(
    ("clock", "asha"),
    [
        ("epochs_done", {"starts_at": 0, "grace_period": 49, "max_t": 60, "reduction_factor": 3}),
        ("since_switch", {"starts_at": 48, "grace_period": 1, "max_t": 12, "reduction_factor": 3}),
        (None, None),
    ],
)
def test_plain_script_gets_the_clock_and_the_configurations(
    clock: AshaClock | None, asha: dict[str, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    space, job = search_cost_space("range", 2), {}

    def script(command: list[str], **_: object) -> None:
        job.update(json.loads(Path(command[-2]).read_text()))
        Path(command[-1]).write_text(json.dumps([metric_row(0, 0, 0.1)]))

    monkeypatch.setattr(subprocess, "run", script)
    assert run_plain(space, clock).epochs == 1
    runs = {
        scenario.name: [run.to_dict() for run in random_configs(space, scenario)] for scenario in space.scenario_list
    }
    asked = {"metric": space.objective.first, "asha": asha, "resources": {"cpu": 1.0}, "scenarios": runs}
    assert job == json.loads(json.dumps(asked))


def test_trials_of_a_case_are_the_first_of_one_list() -> None:
    few, many = search_cost_space("fixed", 2), search_cost_space("fixed", 3, num_scenarios=2, is_stopping=True)
    assert few.enqueue == many.enqueue[:2]
    assert (len(few.scenario_list), len(many.scenario_list), len(many.enqueue)) == (1, 2, 3)
    assert few.early_stopping is None
    assert many.early_stopping is not None


@pytest.mark.parametrize("name", [*CASES, *LONG_CASES])
def test_every_case_has_its_space(name: str) -> None:
    (case,) = search_cases([name], [2], [2])
    assert (case.is_stopping, case.num_runs) == (name.startswith("on"), 4)
    assert case.space().name == name.partition("-")[2]


def test_unknown_space_is_refused() -> None:
    with pytest.raises(KeyError, match="short"):
        search_cost_space("short", 2)


def test_run_of_the_command_is_read_from_its_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its trials are those of the plain script, as they are recorded."""

    def fake(space: SearchSpace, folder: Path) -> Path:
        FakeTuner(space, folder / search_runs.RUN, rising).run()
        return folder / search_runs.RUN

    monkeypatch.setattr(search_runs, "run_command", fake)
    space = search_cost_space("range", num_trials=3)
    (scenario,) = space.scenario_list
    found = run_ours(space)
    switches = switch_epochs(random_configs(space, scenario))
    assert found.chains == {scenario.name: EpochChain(60, tuple((switch, 60 - switch) for switch in switches))}
    assert {key: len(curve) for key, curve in found.curves.items()} == {
        (scenario.name, number): 60 for number in range(3)
    }
