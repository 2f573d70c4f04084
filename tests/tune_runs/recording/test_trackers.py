"""A tracker shows what is recorded; one that fails or is slow neither ends nor slows a search."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from absgd.errors import UserError
from tests.support.fake_tuner import FakeTuner, make_space, rising
from tune_runs.recording import tracker_table
from tune_runs.recording.tracker_callback import close_trackers
from tune_runs.recording.tracker_table import TrackerKind, attach_report, check_trackers
from tune_runs.recording.trackers import Row, TrackedSearch, Tracker, TrackerThread
from tune_runs.request.search_request import resume_request
from tune_runs.request.space_files import space_from_dict

HERE = "tests.tune_runs.recording.test_trackers"


class NotingTracker:
    """Notes what it is told."""

    told: list[str]
    epochs: dict[str, list[int]]
    earlier: dict[str, list[int]]
    statuses: dict[str, str]

    def __init__(self, search: TrackedSearch) -> None:
        assert search.id == (search.folder / ".id").read_text()

    def begin(self, trial: Row, earlier: Sequence[Row]) -> None:
        self.told.append(f"begin {trial['trial_id']}")
        self.earlier[trial["trial_id"]] = [row["epoch"] for row in earlier]

    def add(self, trial_id: str, epochs: Sequence[Row]) -> None:
        self.told.append(f"add {trial_id}")
        self.epochs.setdefault(trial_id, []).extend(row["epoch"] for row in epochs)

    def end(self, trial: Row) -> None:
        self.told.append(f"end {trial['trial_id']}")
        self.statuses[trial["trial_id"]] = trial["status"]

    def attach(self, report: Path) -> None:
        self.told.append(f"attach {report.name}")

    def close(self) -> None:
        self.told.append("close")


@pytest.fixture
def noting(monkeypatch: pytest.MonkeyPatch) -> type[NotingTracker]:
    """Put a tracker that takes notes in the place of MLflow's."""
    monkeypatch.setitem(tracker_table.TRACKERS, "mlflow", TrackerKind("Notes", f"{HERE}:NotingTracker", "json"))
    for name, empty in (("told", []), ("epochs", {}), ("earlier", {}), ("statuses", {})):
        monkeypatch.setattr(NotingTracker, name, empty, raising=False)
    return NotingTracker


def do_nothing(_: Tracker) -> None:
    """Be an event that shows nothing."""


def own_epochs(folder: Path) -> dict[str, list[int]]:
    """Return the epochs that each trial trained itself, as recorded."""
    epochs = pd.read_parquet(folder / "epochs.parquet")
    return {str(name): list(rows.epoch) for name, rows in epochs[~epochs.inherited].groupby("trial_id")}


def test_tracker_is_told_every_epoch_and_the_end_of_every_trial(tmp_path: Path, noting: type[NotingTracker]) -> None:
    tuner = FakeTuner(make_space(track=["mlflow"]), tmp_path / "run", rising)
    tuner.run()
    close_trackers(tuner.search.trackers)
    trials = pd.read_parquet(tmp_path / "run/trials.parquet").set_index("trial_id")
    assert noting.epochs == own_epochs(tmp_path / "run")
    assert noting.statuses == dict(trials.status)
    assert noting.told[-1] == "close"
    assert not (tmp_path / "run/tensorboard").exists()
    for trial_id in trials.index:
        assert [word for word in noting.told if word.endswith(f" {trial_id}") and not word.startswith("add")] == [
            f"begin {trial_id}",
            f"end {trial_id}",
        ]


@pytest.mark.parametrize("stop_after", [1, 9, 30])
def test_continued_trials_repeat_no_epoch(tmp_path: Path, noting: type[NotingTracker], stop_after: int) -> None:
    space = make_space(track=["mlflow"])
    FakeTuner(space, tmp_path / "run", rising).run(stop_after_results=stop_after)
    recorded_before = own_epochs(tmp_path / "run")
    noting.earlier.clear()
    FakeTuner(space, tmp_path / "run", rising).run()
    expected = own_epochs(tmp_path / "run")
    assert {name: sorted(set(epochs)) for name, epochs in noting.epochs.items()} == expected
    for name, earlier in noting.earlier.items():
        assert earlier == recorded_before.get(name, [])


def test_interrupted_trials_end_as_such(tmp_path: Path, noting: type[NotingTracker]) -> None:
    tuner = FakeTuner(make_space(track=["mlflow"]), tmp_path / "run", rising)
    tuner.run(stop_after_results=3)
    tuner.end_early()
    close_trackers(tuner.search.trackers)
    assert set(noting.statuses.values()) == {"interrupted"}


def test_failing_tracker_is_said_once_and_changes_no_record(
    tmp_path: Path, noting: type[NotingTracker], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise ConnectionError("no route to host\nmore")

    monkeypatch.setattr(NotingTracker, "add", refuse)
    for name, track in (("run", ["mlflow"]), ("other", [])):
        (tmp_path / name).mkdir()
        tuner = FakeTuner(make_space(track=track), tmp_path / name / "run", rising)
        tuner.run()
        close_trackers(tuner.search.trackers)
    columns = ["trial_id", "status", "error", "metric_last", "epochs_trained"]
    one, other = (pd.read_parquet(tmp_path / name / "run/trials.parquet")[columns] for name in ("run", "other"))
    pd.testing.assert_frame_equal(one, other)
    (said,) = capsys.readouterr().err.splitlines()
    assert said == "warning: Notes ends here (ConnectionError: no route to host); the search goes on"


def test_stuck_tracker_is_given_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stuck, goes_on = threading.Event(), threading.Event()

    def build() -> NotingTracker:
        stuck.set()
        goes_on.wait()
        return NotingTracker.__new__(NotingTracker)

    thread = TrackerThread("Slow", build, do_nothing, length=2)
    assert thread.put(do_nothing)
    assert stuck.wait(60)
    queued = [thread.put(do_nothing) for _ in range(5)]
    assert queued == [True, True, False, False, False]
    thread.close(time.monotonic())
    first, second = capsys.readouterr().err.splitlines()
    assert first == "warning: Slow is slower than the search: it will miss some of it; the search goes on"
    assert second == ("warning: Slow did not end in time: up to 2 events may be missing there; the records are whole")
    goes_on.set()


def test_events_that_found_a_full_queue_come_with_the_next(tmp_path: Path, noting: type[NotingTracker]) -> None:
    tuner = FakeTuner(make_space(track=["mlflow"]), tmp_path / "run", rising)
    (callback,) = tuner.search.trackers
    put, refused = callback.thread.put, iter([True, True] + [False] * 1000)
    callback.thread.put = lambda call: False if next(refused) else put(call)  # type: ignore[method-assign]
    tuner.run(stop_after_results=8)
    tuner.end_early()
    close_trackers(tuner.search.trackers)
    assert noting.epochs == own_epochs(tmp_path / "run")


def test_report_is_attached_to_all_but_tensorboard(tmp_path: Path, noting: type[NotingTracker]) -> None:
    space = make_space(track=["tensorboard", "mlflow"])
    FakeTuner(space, tmp_path / "run", rising)
    attach_report(space, tmp_path / "run")
    assert noting.told == []
    (tmp_path / "run/report.html").write_text("<p>")
    attach_report(space, tmp_path / "run")
    assert noting.told == ["attach report.html", "close"]


@pytest.mark.parametrize(
    ("track", "message"),
    [
        (["wandb", "wandb"], "expected each tracker once, got `wandb` twice"),
        (["wandB"], "got 'wandB'; did you mean `wandb`?"),
        ("wandb", "expected `track` to be a list, got 'wandb'"),
    ],
)
def test_unknown_and_repeated_trackers_are_refused(track: object, message: str) -> None:
    with pytest.raises(UserError) as refused:
        make_space(track=track)
    assert message in str(refused.value)


def test_absent_package_is_refused_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = TrackerKind("Weights & Biases", "no.such:module", "no_such_package_of_ours")
    monkeypatch.setitem(tracker_table.TRACKERS, "wandb", kind)
    with pytest.raises(UserError, match=r"expected the package `no_such_package_of_ours`, found none: pip install"):
        check_trackers(["tensorboard", "wandb"])


def test_folder_of_the_same_name_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "offline_runs").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(tracker_table.TRACKERS, "wandb", TrackerKind("W", "no.such:module", "offline_runs"))
    with pytest.raises(UserError, match=r"found none: pip install 'absgd-tune\[offline_runs\]' \(track\)"):
        check_trackers(["wandb"])


def test_trackers_may_change_on_resume(tmp_path: Path) -> None:
    space = make_space(track=[])
    FakeTuner(space, tmp_path / "run", rising)
    given = space_from_dict({**space.to_dict(), "track": ["tensorboard"]})
    assert resume_request(tmp_path / "run").space.track == ()
    assert resume_request(tmp_path / "run", given=given).space.track == ("tensorboard",)
