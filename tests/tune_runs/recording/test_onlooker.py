"""What only shows a search can neither end it nor change its records."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray.tune import Callback

from tests.support.fake_tuner import FakeTuner, make_space, rising
from tune_runs.recording import tensorboard as event_files
from tune_runs.recording.onlooker import Onlooker
from tune_runs.recording.tracker_callback import close_trackers

HOOKS = ("on_trial_result", "on_trial_complete", "on_trial_error", "on_step_end", "on_experiment_end")


class Failing(Callback):  # type: ignore[misc]
    def __init__(self, error: Exception) -> None:
        self.num_told = 0
        self._error = error

    def __getattribute__(self, name: str) -> Any:
        if name not in HOOKS:
            return super().__getattribute__(name)

        def fail(**_: Any) -> None:
            self.num_told += 1
            raise self._error

        return fail


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), RuntimeError("a bug"), UnicodeError("±")])
def test_error_ends_the_onlooker_alone(hook: str, error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    failing = Failing(error)
    onlooker = Onlooker(failing, "the table")
    for name in (hook, *HOOKS):
        getattr(onlooker, name)(iteration=1, trials=[], trial=None)
    assert failing.num_told == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said == f"warning: the table ends here ({type(error).__name__}: {error}); the search goes on"


def test_events_reach_a_healthy_one() -> None:
    told = []

    class Healthy(Callback):  # type: ignore[misc]
        def on_trial_result(self, **event: Any) -> None:
            told.append(event)

    onlooker = Onlooker(Healthy(), "the table")
    onlooker.on_trial_result(iteration=1, trials=[], trial="a", result={})
    onlooker.on_step_end(iteration=1, trials=[])
    assert told == [{"iteration": 1, "trials": [], "trial": "a", "result": {}}]


def test_broken_tracker_leaves_the_records_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such protocol")

    columns = ["trial_id", "status", "error", "metric_last", "epochs_trained"]
    FakeTuner(make_space(), tmp_path / "run", rising).run()
    monkeypatch.setattr(event_files, "EventsWriter", broken)
    (tmp_path / "other").mkdir()
    FakeTuner(make_space(), tmp_path / "other" / "run", rising).run()
    whole, other = (pd.read_parquet(tmp_path / name / "trials.parquet")[columns] for name in ("run", "other/run"))
    pd.testing.assert_frame_equal(whole, other)
    (said,) = capsys.readouterr().err.splitlines()
    assert said == "warning: TensorBoard ends here (RuntimeError: no such protocol); the search goes on"


class Noting(Callback):  # type: ignore[misc]
    """Notes the epochs of each trial, once it may."""

    def __init__(self) -> None:
        self.may_go_on, self.epochs, self.has_ended = threading.Event(), dict[str, list[int]](), False

    def on_trial_result(self, *, result: dict[str, Any], **_: Any) -> None:
        self.may_go_on.wait()
        self.epochs.setdefault(result["trial_id"], []).append(result["epoch"])

    def on_experiment_end(self, **_: Any) -> None:
        self.has_ended = True


@pytest.mark.parametrize("together", [False, True])
def test_stuck_callback_of_a_user_neither_slows_nor_ends_a_search_and_is_told_every_epoch(
    tmp_path: Path, together: bool
) -> None:
    noting = Noting()
    tuner = FakeTuner(make_space(track=[]), tmp_path / "run", rising, callbacks=[noting], together=together)
    tuner.run()
    epochs = pd.read_parquet(tmp_path / "run" / "epochs.parquet")
    assert noting.epochs == {}
    noting.may_go_on.set()
    close_trackers([], tuner.search.users, within_s=600)
    own = epochs[~epochs.inherited]
    assert noting.epochs == {str(name): list(rows.epoch) for name, rows in own.groupby("trial_id")}


def test_object_with_one_method_of_a_callback_will_do(tmp_path: Path) -> None:
    told: list[str] = []

    class One:
        def on_trial_complete(self, **_: Any) -> None:
            told.append("end")

    tuner = FakeTuner(make_space(track=[], num_trials=1), tmp_path / "run", rising, callbacks=[One()])  # type: ignore[list-item]
    tuner.search.users[0].on_step_end(iteration=1, trials=[])
    tuner.run()
    close_trackers([], tuner.search.users, within_s=600)
    assert len(told) == len(pd.read_parquet(tmp_path / "run" / "trials.parquet"))


def test_callback_of_a_user_that_is_too_slow_misses_events_and_it_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    noting = Noting()
    tuner = FakeTuner(make_space(track=[]), tmp_path / "run", rising, callbacks=[noting])
    (user,) = tuner.search.users
    monkeypatch.setattr(user.thread._calls, "maxsize", 3)
    tuner.run()
    noting.may_go_on.set()
    close_trackers([], tuner.search.users, within_s=600)
    slow, missed = capsys.readouterr().err.splitlines()
    assert slow == (
        "warning: the callback Noting is slower than the search: it will miss some of it; the search goes on"
    )
    assert "the callback Noting was too slow for " in missed
