"""Budgets of epochs, wall time and disk: a search ends at each with complete records, and a resume continues it."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.fake_searches import EXP, epochs, trials
from tests.support.fake_tuner import SPACE, FakeTuner, make_space, rising
from tune_runs.recording.budgets import EPOCH_BUDGET_USED, TIME_BUDGET_USED, Budgets
from tune_runs.space.model import SearchSpace
from tune_runs.trial.disk_budget import GIB, folder_bytes, remove_unfinished


def space_of(**changes: Any) -> SearchSpace:
    return make_space(**{"scenarios": SPACE["scenarios"][:1], "early_stopping": None, **changes})


def test_epoch_budget_ends_the_search_with_whole_records_and_counts_over_sessions(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    tuner = FakeTuner(space_of(epoch_budget=30), folder, rising)
    tuner.run()
    tuner.end_early()
    assert tuner.stop.used_budget == EPOCH_BUDGET_USED
    frame = trials(folder)
    assert 30 <= frame.epochs_trained.sum() < 30 + tuner.concurrent
    assert set(frame[frame.status == "interrupted"].error) == {EPOCH_BUDGET_USED}
    assert len(epochs(folder)) == (frame.epochs_trained + frame.epochs_inherited).sum()
    again = FakeTuner(space_of(epoch_budget=30), folder, rising)
    again.run()
    assert trials(folder).epochs_trained.sum() == frame.epochs_trained.sum()
    more = FakeTuner(space_of(epoch_budget=1000), folder, rising)
    more.run()
    assert set(trials(folder).status) == {"completed"}


def test_time_budget_does_not_follow_a_clock_that_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: -1e9)
    recorder: Any = SimpleNamespace(epochs_trained=0)
    budgets = Budgets(space_of(time_budget=60), recorder)
    assert budgets.used() is None
    now[0] += 59.9
    assert budgets.used() is None
    now[0] += 0.2
    assert budgets.used() == TIME_BUDGET_USED


def test_disk_budget_is_held_and_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are larger than checkpoints here, and twice their size is kept free for them."""
    monkeypatch.setattr("tune_runs.trial.disk_budget.RESERVED_BYTES", 0)
    FakeTuner(space_of(keep_checkpoints=8), tmp_path / "free", rising).run()
    tables = sum(path.stat().st_size for path in (tmp_path / "free").glob("*.parquet"))
    budget = 0.5 * (folder_bytes(tmp_path / "free") - tables) + 3 * tables
    folder = tmp_path / "fake"
    space = space_of(keep_checkpoints=8, disk_budget=budget / GIB)
    tuner = FakeTuner(space, folder, rising)
    largest = 0
    for _ in tuner.results({}):
        largest = max(largest, folder_bytes(folder))
    tuner.end_early()
    assert tuner.stop.used_budget == "the disk budget was used up"
    assert largest <= budget
    assert any("the disk budget leaves no room" in note for note in tuner.notes)
    frame = trials(folder)
    assert len(epochs(folder)) == (frame.epochs_trained + frame.epochs_inherited).sum()
    assert 0 < (frame.status == "completed").sum() < 9


def test_checkpoints_of_the_best_trials_stay(tmp_path: Path) -> None:
    for keep in (0, 1, 3):
        folder = tmp_path / f"keep-{keep}"
        FakeTuner(space_of(keep_checkpoints=keep), folder, rising).run()
        best = trials(folder).query("phase == 'search'").sort_values("metric_last").trial_id.tail(keep)
        left = [path.name for path in (folder / "scenarios" / EXP / "checkpoints").iterdir()]
        assert sorted(left) == sorted(best)
        for name in left:
            files = sorted(path.name for path in (folder / "scenarios" / EXP / "checkpoints" / name).iterdir())
            assert files == ["epoch-0009.pt", "epoch-0010.pt"], "the last two; the best is the last here"


def test_running_trial_keeps_its_last_two_checkpoints_and_its_best(tmp_path: Path) -> None:
    def peaked(config: Any, epoch: int) -> float:
        return 0.9 if epoch == 5 else 0.1

    tuner = FakeTuner(space_of(), tmp_path / "fake", peaked, concurrent=1)
    seen: dict[int, list[str]] = {}
    for trial_id in tuner.results({}):
        if trial_id == f"{EXP}-0000":
            done = len(tuner.recorder.epochs[trial_id])
            folder = tmp_path / "fake" / "scenarios" / EXP / "checkpoints" / trial_id
            seen[done] = sorted(path.name for path in folder.glob("*")) if folder.exists() else []
    assert seen[9] == ["epoch-0006.pt", "epoch-0008.pt", "epoch-0009.pt"]


def test_only_files_half_written_at_a_kill_are_removed(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    kept = [
        tmp_path / ".lock",
        tmp_path / "deep" / "epoch-0001.pt",
        tmp_path / ".notes.md.abcd1234",
        tmp_path / ".x.pt",
    ]
    gone = [tmp_path / ".trials.parquet.abcd1234", tmp_path / "deep" / ".epoch-0001.pt.a_b2c3d4"]
    for path in (*kept, *gone):
        path.write_text("x")
    remove_unfinished(tmp_path)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)
