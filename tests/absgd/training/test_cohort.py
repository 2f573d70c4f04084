"""A cohort: the order of turns, and runs that get the same numbers as alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from absgd.config import RunConfig
from absgd.datasets import CommonImages, Splits, load_splits
from absgd.records import EpochRecord
from absgd.training import Diverged, Trainer
from absgd.training.cohort import SETTLE_S, TOGETHER_S, Cohort, RunEnded, RunFailed
from tests.support.gpus import needs_gpu
from tests.support.small_runs import make, numbers
from tests.support.step_recorders import OperationRecorder, with_graph_step

CPU = torch.device("cpu")


class Clock:
    """A clock that moves only when it is set."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def counting(name: str, steps: int, log: list[str], epochs: int = 2) -> Iterator[str | None]:
    """Return a run that notes its turns and reports the end of each epoch."""
    for epoch in range(epochs):
        for step in range(steps):
            log.append(f"{name}{epoch}.{step}")
            yield None
        yield f"{name} {epoch}"


def new(size: int = 3) -> tuple[Cohort[str], Clock]:
    clock = Clock()
    return Cohort(CPU, size, clock), clock


def test_runs_take_turns_from_the_moment_the_last_has_come() -> None:
    cohort, clock = new()
    log: list[str] = []
    cohort.join("a", counting("a", 2, log))
    assert cohort.is_idle()
    assert cohort.turn() == []
    clock.time += SETTLE_S * 0.9
    cohort.join("b", counting("b", 3, log))
    clock.time += SETTLE_S * 0.9
    assert cohort.turn() == []
    clock.time += SETTLE_S
    assert [cohort.turn() for _ in range(4)] == [[], [], [("a", "a 0")], [("b", "b 0")]]
    assert log == ["a0.0", "b0.0", "a0.1", "b0.1", "b0.2"]


def test_full_cohort_does_not_wait() -> None:
    cohort, _ = new(size=2)
    log: list[str] = []
    cohort.join("a", counting("a", 1, log))
    cohort.join("b", counting("b", 1, log))
    assert not cohort.is_idle()
    cohort.turn()
    assert log == ["a0.0", "b0.0"]


def after_first_epoch() -> tuple[Cohort[str], Clock, list[str]]:
    """Return a cohort after the first epoch of `a` and `b`, two steps each; their turns are noted from now on."""
    cohort, clock = new()
    log: list[str] = []
    for name in "ab":
        cohort.join(name, counting(name, 2, log))
    clock.time += SETTLE_S
    assert [cohort.turn() for _ in range(3)] == [[], [], [("a", "a 0"), ("b", "b 0")]]
    log.clear()
    return cohort, clock, log


def test_runs_that_end_an_epoch_together_start_the_next_together() -> None:
    cohort, _, log = after_first_epoch()
    cohort.resume("a")
    cohort.turn()
    assert log == []
    cohort.resume("b")
    cohort.turn()
    assert log == ["a1.0", "b1.0"]


def test_cohort_waits_briefly_for_a_run_that_takes_no_turn() -> None:
    cohort, clock, log = after_first_epoch()
    cohort.resume("a")
    clock.time += TOGETHER_S
    cohort.turn()
    assert log == ["a1.0"]


def test_cohort_does_not_wait_for_a_run_that_left() -> None:
    cohort, _, _ = after_first_epoch()
    cohort.resume("a")
    assert cohort.is_idle()
    cohort.leave("b")
    assert not cohort.is_idle()
    assert cohort.names == ("a",)


def test_run_that_joins_late_starts_while_others_train() -> None:
    cohort, clock = new()
    log: list[str] = []
    cohort.join("a", counting("a", 5, log))
    clock.time += SETTLE_S
    cohort.turn()
    cohort.join("b", counting("b", 5, log))
    cohort.turn()
    clock.time += SETTLE_S
    cohort.turn()
    assert log == ["a0.0", "a0.1", "a0.2", "b0.0"]


def test_end_and_error_of_one_leave_the_others() -> None:
    def failing() -> Iterator[str | None]:
        yield None
        raise KeyError("x")

    cohort, clock = new()
    cohort.join("ends", iter(()))
    cohort.join("fails", failing())
    cohort.join("continues", counting("c", 9, []))
    clock.time += SETTLE_S
    ((name, word),) = cohort.turn()
    assert name == "ends"
    assert isinstance(word, RunEnded)
    ((name, word),) = cohort.turn()
    assert name == "fails"
    assert isinstance(word, RunFailed)
    assert repr(word.error) == "KeyError('x')"
    assert cohort.names == ("continues",)
    assert not cohort.is_idle()


def test_leaving_ends_the_run_where_it_is() -> None:
    ended: list[str] = []

    def run() -> Iterator[str | None]:
        try:
            while True:
                yield None
        finally:
            ended.append("closed")

    cohort, clock = new()
    cohort.join("a", run())
    clock.time += SETTLE_S
    cohort.turn()
    cohort.leave("a")
    cohort.leave("a")
    cohort.resume("a")
    assert ended == ["closed"]
    assert cohort.names == ()


def run_of(config: RunConfig, splits: Splits, common: CommonImages) -> Iterator[EpochRecord | None]:
    """Return a run as a search starts it: the trainer is made in its first turn."""
    yield from Trainer(config, splits, batches_of=common.batches).steps()


def trained(members: list[tuple[int, RunConfig]], splits: Splits) -> dict[str, list[Any]]:
    """Train members, each given with the number of turns after which it joins; return the reports of each by name."""
    cohort: Cohort[EpochRecord] = Cohort(CPU, len(members), Clock())
    common = CommonImages()
    found: dict[str, list[Any]] = {str(place): [] for place in range(len(members))}
    turns = 0
    while turns < 500 and (cohort.names or turns <= max(after for after, _ in members)):
        for place, (after, config) in enumerate(members):
            if after == turns:
                cohort.join(str(place), run_of(config, splits, common))
        cohort._last_joined = -SETTLE_S  # the clock does not move, so the cohort waits for no run
        for name, word in cohort.turn():
            found[name].append(word)
            cohort.resume(name)
        turns += 1
    assert not cohort.names
    return found


def alone(config: RunConfig, splits: Splits) -> list[Any]:
    return [numbers(record) for record in Trainer(config, splits).epochs()]


FORKS = {
    "first": make(),
    "other lambda": make(**{"attention.lam": 5.0, "attention.gamma": 0.9}),
    "other switch": make(**{"attention.switch_epoch": 1, "attention.ab_alpha": 1.0}),
    "negative lambda": make(**{"attention.lam": -3.0}),
    "other seed": make(**{"seeds.train": 7}),
    "resampled": make(**{"class_balance": {"type": "resample", "from_epoch": "switch"}}),
    "sharpness-aware": make(**{"optimizer.sam_rho": 0.05}),
    "plain": make(**{"attention": None, "loss": {"name": "ce"}, "class_balance": {"type": "none"}}),
}


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(make())


@pytest.fixture(scope="module")
def all_alone(splits: Splits) -> dict[str, list[Any]]:
    return {name: alone(config, splits) for name, config in FORKS.items()}


@settings(max_examples=12, deadline=None)
@given(members=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(sorted(FORKS))), min_size=1, max_size=4))
def test_members_get_the_bits_of_runs_alone(
    splits: Splits, all_alone: dict[str, list[Any]], members: list[tuple[int, str]]
) -> None:
    found = trained([(after, FORKS[name]) for after, name in members], splits)
    for place, (_, name) in enumerate(members):
        *records, last = found[str(place)]
        assert [numbers(record) for record in records] == all_alone[name]
        assert isinstance(last, RunEnded)


def test_diverged_member_reports_the_error_of_a_run_alone(splits: Splits, all_alone: dict[str, list[Any]]) -> None:
    wild = make(**{"optimizer.lr": 1e18, "schedule.warmup_epochs": 0})
    with pytest.raises(Diverged) as expected:
        list(Trainer(wild, splits).epochs())
    found = trained([(0, wild), (0, make())], splits)
    assert isinstance(found["0"][-1], RunFailed)
    assert str(found["0"][-1].error) == str(expected.value)
    assert [numbers(record) for record in found["1"][:-1]] == all_alone["first"]


def test_captured_steps_take_shared_batches(splits: Splits) -> None:
    """A graph copies its inputs into its own tensors, so it does not change a batch that another member reads."""
    without = {"model.dropout": 0.0, "optimizer.lr": 0.02}
    configs = [make(**without), make(**without, **{"attention.lam": 5.0})]
    cohort: Cohort[EpochRecord] = Cohort(CPU, 2, Clock())
    common = CommonImages()
    found: dict[str, list[Any]] = {"0": [], "1": []}
    for place, config in enumerate(configs):
        trainer = Trainer(config, splits, batches_of=common.batches)
        cohort.join(str(place), with_graph_step(trainer, OperationRecorder()).steps())
    while cohort.names:
        for name, word in cohort.turn():
            found[name].append(word)
            cohort.resume(name)
    for place, config in enumerate(configs):
        expected = with_graph_step(Trainer(config, splits), OperationRecorder()).epochs()
        assert [numbers(record) for record in found[str(place)][:-1]] == [numbers(record) for record in expected]


@needs_gpu
@pytest.mark.parametrize("cuda_graph", [False, True])
def test_members_on_a_gpu_get_the_numbers_of_runs_alone(splits: Splits, cuda_graph: bool) -> None:
    device = {"type": "cuda", "fast": True, "precision": "float32", "cuda_graph": cuda_graph}
    common = {"device": device, "model.dropout": 0.0, "optimizer.lr": 0.02}
    configs = {str(lam): make(**common, **{"attention.lam": lam}) for lam in (2.0, 5.0, -3.0)}
    cohort: Cohort[EpochRecord] = Cohort(torch.device("cuda"), 3, Clock())
    images, found = CommonImages(), {name: list[Any]() for name in configs}
    for name, config in configs.items():
        cohort.join(name, run_of(config, splits, images))
    streams = [member.stream for member in cohort._members.values()]
    assert len({stream.cuda_stream for stream in streams if stream}) == 3
    while cohort.names:
        for name, word in cohort.turn():
            found[name].append(word)
            cohort.resume(name)
    for name, config in configs.items():
        *records, last = found[name]
        assert isinstance(last, RunEnded)
        for record, there in zip(records, Trainer(config, splits).epochs(), strict=True):
            assert record.train_loss == pytest.approx(there.train_loss, rel=1e-2)
            assert record.mean_weight == pytest.approx(there.mean_weight, rel=1e-2)


@needs_gpu
def test_streams_are_reused() -> None:
    cohort: Cohort[str] = Cohort(torch.device("cuda"), 2, Clock())
    used = set()
    for number in range(40):
        cohort.join(str(number), counting("a", 1, []))
        used.add(cohort._members[str(number)].stream)
        cohort.leave(str(number))
    assert len(used) == 1
