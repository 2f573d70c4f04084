"""The host of a cohort: trials that join, report and leave; without Ray."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from absgd.errors import UserError
from tests.support.fake_trainer import epoch_record
from tests.support.small_runs import make
from tune_runs.cohorts import host as cohort_host
from tune_runs.cohorts.host import CohortHost, NoMember, is_alive
from tune_runs.cohorts.messages import HostAnswer
from tune_runs.trial.trial_plan import TrialTask
from tune_runs.trial.trial_reports import ReportedEpoch, TrialReport

SOON_S = 120.0
HERE = os.getpid()


@dataclass(frozen=True)
class FakeTask(TrialTask):
    epochs: int = 2
    fails_after: int | None = None


def trial(name: str, device: str = "cpu", **more: Any) -> FakeTask:
    return FakeTask(name, "digits", "digits/0", make().with_values({"device.type": device}), **more)


def report(epoch: int) -> TrialReport:
    return TrialReport(ReportedEpoch(epoch_record(epoch, 0.5)))


def answer(epoch: int) -> HostAnswer:
    return HostAnswer(report(epoch))


class LoggedRuns:
    """Starts runs of two epochs of two steps, and logs their steps and ends."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def __call__(self, task: TrialTask) -> Iterator[TrialReport | None]:
        assert isinstance(task, FakeTask)
        name = task.trial_id
        try:
            for epoch in range(task.epochs):
                for step in range(2):
                    self.log.append(f"{name} {epoch}.{step}")
                    yield None
                if epoch == task.fails_after:
                    raise ValueError(f"{name} is bad")
                yield report(epoch)
        finally:
            self.log.append(f"{name} closed")

    def until(self, entry: str) -> None:
        wait_until(lambda: entry in self.log)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < deadline, "the condition was not reached"
        time.sleep(0.01)


@pytest.fixture
def runs() -> LoggedRuns:
    return LoggedRuns()


@pytest.fixture
def host(runs: LoggedRuns) -> CohortHost:
    return CohortHost(2, runs)


def test_reports_come_one_by_one_and_then_the_end(host: CohortHost, runs: LoggedRuns) -> None:
    assert host.join("a1", trial("a"), HERE)
    assert host.next_report("a1", SOON_S) == answer(0)
    assert host.next_report("a1", SOON_S) == answer(1)
    assert host.next_report("a1", SOON_S) == HostAnswer(has_ended=True)
    assert runs.log[-1] == "a closed"
    with pytest.raises(NoMember, match="does not know a1"):
        host.next_report("a1", SOON_S)


def test_trial_rests_until_it_is_asked_for_more(host: CohortHost, runs: LoggedRuns) -> None:
    host.join("a1", trial("a"), HERE)
    host.next_report("a1", SOON_S)
    runs.until("a 0.1")
    time.sleep(0.3)
    assert runs.log == ["a 0.0", "a 0.1"]
    assert host.next_report("a1", wait_s=0.0) == HostAnswer()
    runs.until("a 1.1")
    assert host.next_report("a1", SOON_S) == answer(1)


def test_answer_without_a_report_asks_for_none_twice(host: CohortHost, runs: LoggedRuns) -> None:
    host.join("a1", trial("a"), HERE)
    answers = [host.next_report("a1", wait_s=0.0) for _ in range(20)]
    assert answers == [HostAnswer()] * 20
    assert host.next_report("a1", SOON_S) == answer(0)


def test_runs_that_join_together_are_in_step(host: CohortHost, runs: LoggedRuns) -> None:
    host.join("a1", trial("a"), HERE)
    host.join("b1", trial("b"), os.getppid())
    for name in ("a1", "b1"):
        assert host.next_report(name, SOON_S) == answer(0)
    for name in ("a1", "b1"):  # each in its own process, so that neither waits for the other
        assert host.next_report(name, wait_s=0.0) == HostAnswer()
    for name in ("a1", "b1"):
        assert host.next_report(name, SOON_S) == answer(1)
    assert runs.log[:8] == ["a 0.0", "b 0.0", "a 0.1", "b 0.1", "a 1.0", "b 1.0", "a 1.1", "b 1.1"]


def test_full_host_admits_no_trial_until_one_leaves(host: CohortHost) -> None:
    assert host.join("a1", trial("a"), HERE)
    assert host.join("b1", trial("b"), os.getppid())
    assert not host.join("c1", trial("c"), 1)
    host.leave("a1")
    assert host.join("c1", trial("c"), 1)


def test_trial_that_leaves_is_ended_and_the_other_continues(host: CohortHost, runs: LoggedRuns) -> None:
    host.join("a1", trial("a", epochs=10**6), HERE)
    host.join("b1", trial("b"), os.getppid())
    host.next_report("a1", SOON_S)
    host.leave("a1")
    host.leave("a1")
    runs.until("a closed")
    assert host.next_report("b1", SOON_S) == answer(0)
    assert host.next_report("b1", SOON_S) == answer(1)


def test_error_of_a_trial_is_its_own(host: CohortHost) -> None:
    host.join("a1", trial("a", fails_after=1), HERE)
    host.join("b1", trial("b"), os.getppid())
    assert host.next_report("a1", SOON_S) == answer(0)
    with pytest.raises(ValueError, match="a is bad"):
        host.next_report("a1", SOON_S)
    with pytest.raises(NoMember):
        host.next_report("a1", SOON_S)
    assert [host.next_report("b1", SOON_S) for _ in range(3)] == [
        answer(0),
        answer(1),
        HostAnswer(has_ended=True),
    ]


def test_error_keeps_no_reference_to_its_trial() -> None:
    """The other trials need the memory: it is freed at once, not when Python next collects cycles."""

    class Model:
        pass

    models: list[weakref.ref[Model]] = []

    def start(_: TrialTask) -> Iterator[TrialReport | None]:
        model = Model()
        models.append(weakref.ref(model))
        yield None
        try:
            raise MemoryError(f"no room for {type(model).__name__}")
        except MemoryError as error:
            raise RuntimeError("out of memory") from error

    host = CohortHost(1, start)
    gc.disable()
    try:
        host.join("a1", trial("a"), HERE)
        with pytest.raises(RuntimeError, match="out of memory") as caught:
            host.next_report("a1", SOON_S)
        wait_until(lambda: models[0]() is None)
    finally:
        gc.enable()
    assert "no room for Model" in str(caught.value.__cause__)


@pytest.mark.parametrize("again", [("a2", "a", os.getppid()), ("b1", "b", HERE)])
def test_next_start_of_a_trial_or_of_its_process_ends_the_one_before(
    host: CohortHost, runs: LoggedRuns, again: tuple[str, str, int]
) -> None:
    host.join("a1", trial("a", epochs=10**6), HERE)
    host.next_report("a1", SOON_S)
    name, trial_id, process = again
    assert host.join(name, trial(trial_id), process)
    runs.until("a closed")
    with pytest.raises(NoMember):
        host.next_report("a1", SOON_S)
    assert host.next_report(name, SOON_S) == answer(0)


def test_waiting_process_learns_that_its_trial_has_left(host: CohortHost) -> None:
    host.join("a1", trial("a"), HERE)
    host.join("b1", trial("b", epochs=10**6), os.getppid())
    host.next_report("a1", SOON_S)
    heard: list[str] = []

    def wait() -> None:
        for _ in range(10**6):
            try:
                host.next_report("b1", SOON_S)
            except NoMember:
                heard.append("gone")
                return

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.1)
    host.leave("b1")
    waiting.join(SOON_S)
    assert heard == ["gone"]


def test_trial_leaves_when_its_process_is_gone(
    host: CohortHost, runs: LoggedRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort_host, "CHECK_EVERY_S", 0.05)
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(1000,))
    other.start()
    assert other.pid
    assert is_alive(other.pid)
    host.join("a1", trial("a", epochs=10**6), other.pid)
    host.next_report("a1", SOON_S)
    other.kill()
    other.join()
    runs.until("a closed")
    assert host.join("b1", trial("b"), HERE)
    assert host.join("c1", trial("c"), os.getppid())


def test_missing_device_is_reported_at_once(host: CohortHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="expected a CUDA device, found none"):
        host.join("a1", trial("a", device="cuda"), HERE)
    assert host.join("b1", trial("b"), HERE)
