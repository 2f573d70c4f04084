"""Reports of a trial: which epochs come together, and that each comes once, in order, and not too late."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from absgd.config import RunConfig
from tests.support.fake_trainer import FakeTrainer, fake_test
from tests.support.fake_tuner import SPACE, rising
from tune_runs.trial import trainable
from tune_runs.trial.trainable import TOGETHER_S, ReadTest, reports_by_step
from tune_runs.trial.trial_plan import CheckpointUse
from tune_runs.trial.trial_reports import TrialReport
from tune_runs.trial.trial_run import TrialRun

CONFIG = RunConfig.from_dict({**SPACE["base"], "loss": {"name": "ce"}})
Curve = Callable[[RunConfig, int], float | None]


@pytest.fixture
def epoch_takes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time that an epoch takes on the clock of the reports."""

    def set_seconds(seconds: float) -> None:
        now = 0.0

        def monotonic() -> float:
            nonlocal now
            now += seconds
            return now

        monkeypatch.setattr(trainable.time, "monotonic", monotonic)

    return set_seconds


def reports(
    report_at: tuple[int, ...] | None, curve: Curve = rising, read_test: ReadTest | None = None, **use: Any
) -> Iterator[TrialReport]:
    trainer: Any = FakeTrainer(CONFIG, curve)
    run = TrialRun(trainer, **use)
    return (report for report in reports_by_step(trainer, run, read_test, report_at) if report is not None)


def epochs_of(report: TrialReport) -> list[int]:
    return [epoch.record.epoch for epoch in report.trained]


def test_short_epochs_come_with_the_next_that_is_due_and_with_the_last(epoch_takes: Callable[[float], None]) -> None:
    epoch_takes(0.0)
    assert [epochs_of(report) for report in reports((3, 4, 7))] == [[0, 1, 2], [3], [4, 5, 6], [7, 8, 9]]
    assert [epochs_of(report) for report in reports(())] == [list(range(10))]
    assert [epochs_of(report) for report in reports(None)] == [[epoch] for epoch in range(10)]


@pytest.mark.parametrize(("seconds", "together"), [(TOGETHER_S, 1), (TOGETHER_S / 2, 2), (TOGETHER_S / 5, 5)])
def test_no_epoch_waits_longer_than_the_limit(
    epoch_takes: Callable[[float], None], seconds: float, together: int
) -> None:
    epoch_takes(seconds)
    sizes = [len(report.trained) for report in reports(())]
    assert sum(sizes) == 10
    assert max(sizes) == together


def test_steps_between_reports_let_others_have_a_turn(epoch_takes: Callable[[float], None]) -> None:
    epoch_takes(0.0)
    trainer: Any = FakeTrainer(CONFIG, rising)
    steps = list(reports_by_step(trainer, TrialRun(trainer), report_at=(4,)))
    assert [step is None for step in steps] == [True] * 3 + [False] + [True] * 5 + [False]


def test_run_that_diverges_reports_the_epochs_before(epoch_takes: Callable[[float], None]) -> None:
    epoch_takes(0.0)
    (report,) = reports((), lambda config, epoch: None if epoch == 3 else rising(config, epoch))
    assert epochs_of(report) == [0, 1, 2]
    assert report.epochs == report.trained
    assert report.epoch is None
    assert report.divergence


def test_run_that_raises_reports_the_epochs_before(epoch_takes: Callable[[float], None]) -> None:
    epoch_takes(0.0)

    def breaks(config: RunConfig, epoch: int) -> float:
        if epoch == 7:
            raise ValueError("stage two breaks")
        return rising(config, epoch)

    made = reports((3,), breaks)
    assert [epochs_of(next(made)) for _ in range(2)] == [[0, 1, 2], [3, 4, 5, 6]]
    with pytest.raises(ValueError, match="stage two breaks"):
        next(made)


def test_last_report_of_a_run_that_reads_the_test_set_has_its_result(
    epoch_takes: Callable[[float], None], tmp_path: Path
) -> None:
    epoch_takes(0.0)
    (report,) = reports((), read_test=fake_test, metric="val_accuracy")
    assert report.test is not None
    assert epochs_of(report) == list(range(10))


def test_snapshot_that_cannot_be_written_is_reported_at_once(
    epoch_takes: Callable[[float], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch_takes(0.0)

    def is_full(*_: Any) -> None:
        raise OSError(errno.EDQUOT, "full")

    monkeypatch.setattr(TrialRun, "_write", is_full)
    use = CheckpointUse(str(tmp_path / "own"), "val_accuracy", str(tmp_path))
    first, *rest = reports((), checkpoints=use)
    assert first.notes
    assert first.is_over_budget
    assert epochs_of(first) == [0]
    assert [epoch for report in rest for epoch in epochs_of(report)] == list(range(1, 10))


def test_resumed_run_reports_restored_epochs_once_and_groups_those_that_it_trains(
    epoch_takes: Callable[[float], None], tmp_path: Path
) -> None:
    epoch_takes(0.0)
    use = CheckpointUse(str(tmp_path / "own"), "val_accuracy", str(tmp_path))
    before = reports((3,), checkpoints=use)
    assert epochs_of(next(before)) == [0, 1, 2]
    again, *rest = reports((), checkpoints=use)
    restored = [epoch.record.epoch for epoch in again.epochs]
    assert restored == list(range(len(restored)))
    assert epochs_of(again) == restored[-1:], "the last epoch is reported again by itself"
    assert [epoch for report in rest for epoch in epochs_of(report)] == list(range(len(restored), 10))
