"""The table of trackers: whether those of a space can work, and their threads. Imports neither them nor Ray."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from pkgutil import resolve_name
from typing import NamedTuple

from absgd import records
from absgd.extras import need_package
from tune_runs.recording.trackers import CLOSE_S, TrackedSearch, Tracker, TrackerThread
from tune_runs.request.search_request import search_id
from tune_runs.space.model import SearchSpace, TrackerName


class TrackerKind(NamedTuple):
    """A tracker that a space can name."""

    title: str
    """Its name for people."""
    builder: str
    """`module:class` of the tracker, called with a TrackedSearch."""
    package: str | None = None
    """The package that it needs, which is also the name of the extra that installs it; None: always there."""
    check: str | None = None
    """`module:function` that raises a UserError where it cannot work."""


_ROOM = "tune_runs.recording"
TRACKERS: dict[TrackerName, TrackerKind] = {
    "tensorboard": TrackerKind("TensorBoard", f"{_ROOM}.tensorboard:TensorBoardTracker"),
    "wandb": TrackerKind(
        "Weights & Biases", f"{_ROOM}.wandb_tracker:WandbTracker", "wandb", f"{_ROOM}.wandb_tracker:check_wandb"
    ),
    "mlflow": TrackerKind("MLflow", f"{_ROOM}.mlflow_tracker:MlflowTracker", "mlflow"),
}
"""Trackers by their names in `track`. Their modules import their packages, so they are imported when asked for."""


def check_trackers(names: Iterable[TrackerName]) -> None:
    """Refuse trackers that could show nothing.

    Raises:
        UserError: naming the extra that is not installed, or what else is missing.
    """
    for kind in (TRACKERS[name] for name in names):
        if kind.package is not None:
            need_package(kind.package, kind.package, "track")
        if kind.check is not None:
            resolve_name(kind.check)()


def attach_report(space: SearchSpace, folder: Path, within_s: float = CLOSE_S) -> None:
    """Show the report of a search that has ended in its trackers; wait no longer than `within_s` for them."""
    report = folder / records.REPORT_FILE
    if not report.exists():
        return
    threads = [tracker_thread(name, space, folder) for name in space.track if TRACKERS[name].package is not None]

    def attach(tracker: Tracker) -> None:
        tracker.attach(report)

    for thread in threads:
        thread.put(attach)
    deadline = time.monotonic() + within_s
    for thread in threads:
        thread.close(deadline)


def tracker_thread(name: TrackerName, space: SearchSpace, folder: Path) -> TrackerThread[Tracker]:
    """Return the thread of a tracker of the search in a folder, not started."""
    kind = TRACKERS[name]

    def build() -> Tracker:
        tracker: Tracker = resolve_name(kind.builder)(TrackedSearch(folder, search_id(folder), space))
        return tracker

    return TrackerThread(kind.title, build, close=lambda tracker: tracker.close())
