"""The live table of a running search on a terminal or in a notebook; elsewhere one line for each trial that ends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ray.tune import Callback, ProgressReporter
from rich.console import Console, RenderableType
from rich.live import Live

from absgd import records
from absgd.counts import after_epochs
from absgd.terminal import shortened
from tune_runs.confirmation.scenario_confirmation import ScenarioConfirmation
from tune_runs.console_table import print_sentence, print_whole
from tune_runs.driver.scenario_progress import EpochPace, scenario_progress
from tune_runs.preview.confirm_cost import most_confirm_epochs
from tune_runs.progress.progress_table import ScenarioProgress, progress_table
from tune_runs.progress.trial_cells import metrics_text
from tune_runs.recording.recorder import Recorder
from tune_runs.seed_pairs.search_over_pairs import SearchOverPairs
from tune_runs.space.model import SearchSpace
from tune_runs.trial.trial_plan import task_of
from tune_runs.trial.trial_reports import report_of
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.tuned_controls.control_tuning import ControlTuning

if TYPE_CHECKING:  # needs IPython, which a notebook has
    from tune_runs.driver.cell_output import CellOutput

REDRAW_EVERY_S = 0.5


def live_table(
    space: SearchSpace, progress: list[ScenarioProgress], elapsed_s: float, left_s: float | None = None
) -> RenderableType:
    """Draw the table of a running search.

    Args:
        space: the search space.
        progress: progress of each scenario.
        elapsed_s: seconds since the session began.
        left_s: most seconds left; None: not known yet.
    """
    left = "" if left_s is None else f", at most about {clock_text(left_s)} left"
    clock = f"{clock_text(elapsed_s)} elapsed{left}"
    return progress_table(space, progress, clock)


class LiveTableCallback(Callback):  # type: ignore[misc]
    """Draws the live table on a terminal or in a notebook; elsewhere prints one line for each trial that ends.

    Lines count search trials only: the number of controls is unknown before the last trial is drawn.
    """

    def __init__(
        self,
        space: SearchSpace,
        plans: Mapping[str, ScenarioPlan],
        recorder: Recorder,
        console: Console,
        confirmations: Mapping[str, ScenarioConfirmation] | None = None,
        is_searching: bool = True,
        pairs: Mapping[str, SearchOverPairs] | None = None,
        tunings: Mapping[str, ControlTuning] | None = None,
    ) -> None:
        self._space, self._recorder, self._console = space, recorder, console
        self._confirmations, self._is_searching = confirmations or {}, is_searching
        self._pairs, self._tunings = pairs or {}, tunings or {}
        self._live = _live_output(console)
        self._started = time.monotonic()
        self._pace = EpochPace()
        self._plans = plans
        self._confirm_epochs = {
            name: most_confirm_epochs(space, plan) for name, plan in plans.items() if name in self._confirmations
        }
        self._drawn_at = 0.0

    def start(self) -> None:
        """Start drawing."""
        if self._live:
            self._live.start()

    def stop(self) -> None:
        """Draw once more and leave the table on the screen."""
        if self._live:
            self._draw()
            self._live.stop()

    def on_trial_result(self, *, trial: Any, result: dict[str, Any], **_: Any) -> None:
        """Count the epoch and print the notes of the trial, such as a snapshot that it could not use or write."""
        report = report_of(result)
        if report is None:
            return
        for epoch in report.trained:
            if not epoch.is_inherited:
                self._pace.add(time.monotonic(), epoch.record.train_s + epoch.record.val_s)
        for note in report.notes:
            print_sentence(self._console, f"note: {task_of(trial.config).trial_id}: {note}")

    def on_step_end(self, **_: Any) -> None:
        """Redraw every REDRAW_EVERY_S seconds at most."""
        if self._live and time.monotonic() - self._drawn_at >= REDRAW_EVERY_S:
            self._draw()

    def on_trial_complete(self, *, trial: Any, **_: Any) -> None:
        """Print how a trial ended."""
        self._print_end(task_of(trial.config).trial_id)

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:
        """Print why a trial failed, or that it continues in another process; on a terminal too."""
        record = self._recorder.trials[task_of(trial.config).trial_id]
        file = records.error_file(shortened(self._recorder.folder), record.trial_id)
        if record.status == "running":
            print_sentence(self._console, f"note: {record.trial_id}: its process was lost; it continues in another one")
        else:
            print_sentence(self._console, f"trial {record.trial_id} failed: {record.error}")
            print_whole(self._console, f"  see {file}")

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray pickles its callbacks into a file never read back; a live screen cannot be pickled."""
        return {}

    def _print_end(self, trial_id: str) -> None:
        if self._live:
            return
        trial = self._recorder.trials[trial_id]
        is_confirmation = trial.phase == "confirm"
        if trial.phase == "tuning":
            tunings = self._tunings.values()
            done, total = sum(one.num_ended for one in tunings), sum(one.num_runs for one in tunings)
            place = f"tuned {done}/{total}"
        elif is_confirmation:
            plans = self._confirmations.values()
            done, total = sum(one.num_ended for one in plans), sum(one.num_runs for one in plans)
            place = f"confirmed {done}/{total}"
        elif trial.pair:
            further = self._pairs.values()
            done, total = sum(one.num_ended for one in further), sum(one.num_most for one in further)
            place = f"on pairs {done}/{total}"
        else:
            done = sum(self._recorder.finished(scenario) for scenario in self._plans)
            total = sum(plan.num_trials for plan in self._plans.values())
            place = f"{done}/{total}"
        summary = trial.summary
        inherited = f" ({summary.epochs_inherited} inherited)" if summary.epochs_inherited else ""
        count = after_epochs(trial.epochs_done, self._space.epochs)
        ended = f"{trial.status} {count}{inherited}, {metrics_text(self._space, trial)}"
        shown = f"{trial_id} ({trial.candidate})" if is_confirmation else trial_id
        print_whole(self._console, f"[{place}] {shown} {ended}")

    def _draw(self) -> None:
        assert self._live is not None
        progress = [
            scenario_progress(
                self._space,
                self._recorder,
                plan,
                self._confirmations.get(name),
                self._confirm_epochs.get(name, 0),
                self._is_searching,
                self._pairs.get(name),
                self._tunings.get(name),
            )
            for name, plan in self._plans.items()
        ]
        now = time.monotonic()
        elapsed_s = now - self._started
        table = live_table(self._space, progress, elapsed_s, self._seconds_left(progress, now, elapsed_s))
        self._live.update(table, refresh=True)
        self._drawn_at = now

    def _seconds_left(self, progress: list[ScenarioProgress], now: float, elapsed_s: float) -> float | None:
        """Return the most seconds that the session needs at its pace, or that its budget leaves it."""
        epochs, running = sum(one.epochs_left or 0 for one in progress), sum(one.num_running for one in progress)
        left = self._pace.seconds_left(epochs, running, now)
        budget = self._space.time_budget
        return left if left is None or budget is None else min(left, max(0.0, budget - elapsed_s))


class NoRayTable(ProgressReporter):  # type: ignore[misc]
    """Shows nothing: Ray's own table, even of verbosity 0, would clear what a notebook cell has printed."""

    def should_report(self, *_: Any, **__: Any) -> bool:
        """Return False."""
        return False


def _live_output(console: Console) -> Live | CellOutput | None:
    if console.is_jupyter:
        from tune_runs.driver.cell_output import CellOutput

        return CellOutput()
    return Live(console=console, auto_refresh=False) if console.is_terminal else None


def clock_text(seconds: float) -> str:
    """Return a time as a clock shows it.

    >>> clock_text(75.4), clock_text(3675)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
