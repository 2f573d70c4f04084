"""Seconds of an epoch, estimated from as much of one as the time allows."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from absgd.datasets import load_splits
from absgd.errors import UserError
from tests.support.spaces import make
from tune_runs.preview.epoch_times import TimeLimitReached, measure_epoch_times, part_of, seconds_of_epoch, time_limit
from tune_runs.preview.scenario_cost import EpochTime
from tune_runs.space.run_configs import control_config
from tune_runs.trunks.scenario_plan import ScenarioPlan, plan_scenarios

SMALL: dict[str, Any] = {"base/data": {"name": "digits", "val_per_class": 5, "n_max": 12}, "base/batch_size": 32}


class FakeRun:
    """Takes a fixed time for each batch and remembers the batches asked for; the first call warms up."""

    def __init__(self, batch_s: float, warm_up_s: float = 0.0) -> None:
        self.batch_s, self.warm_up_s = batch_s, warm_up_s
        self.asked: list[int] = []

    def train(self, batches: int) -> float:
        self.asked.append(batches)
        return batches * self.batch_s + (self.warm_up_s if len(self.asked) == 1 else 0.0)


def test_seconds_of_a_short_epoch_are_the_median_of_full_epochs() -> None:
    run = FakeRun(batch_s=0.01, warm_up_s=0.5)
    found = seconds_of_epoch(run.train, num_batches=20, budget_s=10)
    assert run.asked[0] == 1
    assert run.asked[-9:] == [20] * 9
    assert found == (pytest.approx(0.2), 1.0)


def test_seconds_of_a_long_epoch_are_measured_on_a_part() -> None:
    run = FakeRun(batch_s=0.1, warm_up_s=3)
    found = seconds_of_epoch(run.train, num_batches=10_000, budget_s=10)
    assert found.seconds == pytest.approx(1000)
    assert 0 < found.share < 0.01
    assert sum(run.asked) * 0.1 + 3 < 10
    assert len(run.asked) < 10


@pytest.mark.parametrize(("batch_s", "asked"), [(60.0, [1]), (4.0, [1, 1])])
def test_seconds_of_an_epoch_whose_batches_are_long(batch_s: float, asked: list[int]) -> None:
    run = FakeRun(batch_s)
    assert seconds_of_epoch(run.train, num_batches=100, budget_s=10) == (100 * batch_s, 0.01)
    assert run.asked == asked


def test_seconds_of_an_epoch_of_one_batch() -> None:
    run = FakeRun(batch_s=0.01, warm_up_s=1)
    assert seconds_of_epoch(run.train, num_batches=1, budget_s=10) == (pytest.approx(0.01), 1.0)


def test_part_of_splits_is_as_large_as_its_batches() -> None:
    space = make({"base/noise": {"type": "symmetric", "rate": 0.2}})
    config = control_config(space, space.scenario_list[0])
    splits = load_splits(config)
    part = part_of(splits, 2, num_batches=10)
    assert len(part.train) == len(part.changed_N) == len(part.train_index_N) == round(len(splits.train) / 5)
    assert len(part.val) == round(len(splits.val) / 5)
    assert set(part.train_index_N) < set(splits.train_index_N)
    assert set(np.unique(part.train.labels_N)) == set(range(10))
    assert (part.class_counts, part.hash) == (splits.class_counts, splits.hash)
    assert part_of(splits, 10, num_batches=10) is splits


def test_measure_trains_each_scenario() -> None:
    space = make({**SMALL, "scenarios": [{}, {"imbalance": {"type": "step", "ratio": 0.25}}]})
    said: list[str] = []
    times = measure_epoch_times(space, plan_scenarios(space), said.append, budget_s=0.3)
    assert list(times) == ["digits", "digits-step-0.25"]
    assert [line.split(",")[0] for line in said] == [
        "measuring digits (1 of 2)",
        "measuring digits-step-0.25 (2 of 2)",
    ]
    for time in times.values():
        assert 0 < time.stage_one_s < 30
        assert 0 < time.stage_two_s < 30
        assert time.snapshot_bytes > 4 * 75_000, "a ResNet-8 and its momentum"


def test_measure_of_a_space_without_stage_two() -> None:
    space = make({**SMALL, "base/loss": {"name": "ce"}, "search": {"optimizer.lr": {"choices": [0.1]}}})
    (time,) = measure_epoch_times(space, plan_scenarios(space), lambda _: None, budget_s=0.05).values()
    assert time.stage_two_s == time.stage_one_s


def test_measure_of_settings_that_would_diverge() -> None:
    space = make({**SMALL, "base/optimizer": {"lr": 1e6}})
    assert measure_epoch_times(space, plan_scenarios(space), lambda _: None, budget_s=0.3)


def test_measure_of_a_loss_that_is_not_finite_is_refused() -> None:
    space = make({**SMALL, "base/optimizer": {"weight_decay": 1e30}})
    with pytest.raises(UserError, match=r"cannot measure `digits`: non-finite .* \(--measure\)"):
        measure_epoch_times(space, plan_scenarios(space), lambda _: None, budget_s=1)


def test_measure_imports_neither_ray_nor_optuna() -> None:
    code = "import sys, tune_runs.preview.epoch_times; print([m for m in ('ray', 'optuna') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_measure_leaves_out_what_took_longer_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    space = make({**SMALL, "scenarios": [{"name": "a"}, {"name": "b"}, {"name": "c"}]})

    def measured(_space: object, plan: ScenarioPlan, *_: object) -> EpochTime:
        if plan.name == "b":
            raise TimeLimitReached
        return EpochTime(1.0, 1.0, 1)

    monkeypatch.setattr("tune_runs.preview.epoch_times._scenario_time", measured)
    said: list[str] = []
    times = measure_epoch_times(space, plan_scenarios(space), said.append)
    assert list(times) == ["a", "c"]
    assert any(line.startswith("b was not measured: a batch of each stage takes longer than") for line in said)


def test_many_scenarios_divide_the_time() -> None:
    space = make({**SMALL, "scenarios": [{"name": f"s{number}"} for number in range(100)]})
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_epoch_times(space, plan_scenarios(space), say)
    assert said == ["measuring s0 (1 of 100), at most 0.4 s, or one batch of each stage"]


def tick() -> None:
    """Send the signal of a time limit."""
    signal.raise_signal(signal.SIGALRM)


def assert_no_limit_is_left(earlier: object) -> None:
    assert signal.getsignal(signal.SIGALRM) == earlier
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_time_limit_ends_a_block_without_an_end() -> None:
    earlier = signal.getsignal(signal.SIGALRM)

    def train(seconds: float) -> None:
        with time_limit(seconds):
            while True:
                pass

    with pytest.raises(TimeLimitReached):
        train(0.05)
    assert_no_limit_is_left(earlier)


def test_time_limit_comes_again_where_it_was_swallowed() -> None:
    def train() -> None:
        with time_limit(60):
            with contextlib.suppress(TimeLimitReached):
                tick()
            tick()

    with pytest.raises(TimeLimitReached):
        train()


def test_time_limit_does_not_interrupt_the_end_of_a_block() -> None:
    ended = []

    def train() -> None:
        with time_limit(60):
            try:
                tick()
            finally:
                with contextlib.suppress(OSError):
                    raise OSError
                tick()
                ended.append("processes")

    with pytest.raises(TimeLimitReached):
        train()
    assert ended == ["processes"]
    with time_limit(60), contextlib.ExitStack() as stack:
        stack.callback(signal.raise_signal, signal.SIGALRM)  # within contextlib


def test_time_limit_that_is_reached_as_its_block_ends_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    earlier, set_timer = signal.getsignal(signal.SIGALRM), signal.setitimer

    def late(which: int, *times: float) -> None:
        if times == (0,):
            tick()
        set_timer(which, *times)

    monkeypatch.setattr(signal, "setitimer", late)
    with time_limit(60):
        pass
    assert_no_limit_is_left(earlier)
