"""How often a run saves itself: after each epoch that is long beside saving, and less often where epochs are short."""

from __future__ import annotations

from pathlib import Path

import pytest

from absgd.records import snapshot_epochs
from tests.support.fake_searches import assert_same, some_diverge, space_of
from tests.support.fake_tuner import FakeTuner
from tests.support.kills import Killed, killed_at
from tune_runs.trial import checkpoint_pace
from tune_runs.trial.checkpoint_pace import CheckpointPace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(checkpoint_pace, "time", clock)
    return clock


def saved_after(clock: Clock, epoch_s: float, saving_s: float, num_epochs: int = 200) -> list[int]:
    pace, saved = CheckpointPace(), []
    for epoch in range(1, num_epochs + 1):
        if pace.is_due(epoch_s):
            with pace.saving():
                clock.now += saving_s
            saved.append(epoch)
    return saved


def test_long_epochs_are_all_saved(clock: Clock) -> None:
    assert saved_after(clock, epoch_s=1.0, saving_s=0.01) == list(range(1, 201))


def test_saving_takes_two_percent_of_the_training_between(clock: Clock) -> None:
    assert saved_after(clock, epoch_s=0.25, saving_s=0.125)[:4] == [1, 26, 51, 76]


def test_saving_that_fails_counts(clock: Clock) -> None:
    pace = CheckpointPace()
    assert pace.is_due(1.0)

    def fail() -> None:
        with pace.saving():
            clock.now += 1.0
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert not pace.is_due(40.0)
    assert pace.is_due(10.0)


def test_search_that_saves_its_runs_at_their_beginning_and_end_only_resumes_to_the_same_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeTuner(space_of(), tmp_path / "a" / "run", some_diverge, concurrent=1).run()
    with pytest.raises(Killed), killed_at(60, monkeypatch, most_of_training=0.0):
        FakeTuner(space_of(), tmp_path / "b" / "run", some_diverge, concurrent=1).run()
    folders = [path for path in (tmp_path / "b" / "run").glob("scenarios/*/checkpoints/*") if any(path.iterdir())]
    saved = [sorted(snapshot_epochs(folder)) for folder in folders]
    FakeTuner(space_of(), tmp_path / "b" / "run", some_diverge, concurrent=1).run()
    assert_same(tmp_path / "a" / "run", tmp_path / "b" / "run")
    assert saved
    assert not any(one + 1 in epochs for epochs in saved for one in epochs)
