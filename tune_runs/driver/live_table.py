"""The live table of a running search on a terminal; elsewhere one line for each trial that ends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ray.tune import Callback
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from absgd import records
from absgd.terminal import shortened
from tune_runs.confirm.confirmation_table import plain_table
from tune_runs.confirm.scenario_confirmation import ScenarioConfirmation
from tune_runs.driver.scenario_progress import ScenarioProgress, scenario_progress, seconds_left
from tune_runs.driver.trial_cells import score, searched_values
from tune_runs.preview.confirm_cost import confirm_cost
from tune_runs.recording.recorder import Recorder
from tune_runs.space.model import SearchSpace
from tune_runs.trial.trial_plan import task_of
from tune_runs.trial.trial_reports import report_of
from tune_runs.trunks.scenario_plan import ScenarioPlan

REDRAW_EVERY_S = 0.5
_STATES = ("running", *records.FINISHED)


def live_table(
    space: SearchSpace, progress: list[ScenarioProgress], elapsed_s: float, new_epochs: int
) -> RenderableType:
    """Draw the table of a running search; states without trials have no column."""
    states = [state for state in ("waiting", *_STATES) if any(one.states.get(state) for one in progress)]
    confirms = ["confirmed"] if any(one.confirmed for one in progress) else []
    table = plain_table(f"{space.name}: {space.metric}", "scenario", *states, "best", "control", *confirms, "epochs")
    for one in progress:
        counts = (str(one.states.get(state, 0)) for state in states)
        epochs = f"{one.epochs_done}/{one.epochs_done + one.epochs_left}"
        confirmed = ["{}/{}".format(*one.confirmed) if one.confirmed else "-"] if confirms else []
        table.add_row(one.scenario, *counts, score(one.best), score(one.control), *confirmed, epochs)
    left = seconds_left(new_epochs, sum(one.epochs_left for one in progress), elapsed_s)
    clock = f"{_clock(elapsed_s)} elapsed" + (f", at most {_clock(left)} left" if left is not None else "")
    bests = (f"best of {one.scenario}: {searched_values(space, one.best)}" for one in progress if one.best)
    return Group(table, *(Text(line) for line in (*bests, clock)))


class LiveTableCallback(Callback):  # type: ignore[misc]
    """Draws the live table on a terminal; elsewhere prints one line for each trial that ends.

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
    ) -> None:
        self._space, self._recorder, self._console = space, recorder, console
        self._confirmations, self._is_searching = confirmations or {}, is_searching
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._started = time.monotonic()
        self._new_epochs = 0
        self._sharing = {name: plan.sharing for name, plan in plans.items()}
        self._confirm_epochs = {
            name: confirm_cost(space, plan).epochs for name, plan in plans.items() if name in self._confirmations
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
        self._new_epochs += report.epoch is not None and not report.epoch.is_inherited
        for note in report.notes:
            text = f"note: {task_of(trial.config).trial_id}: {note}"
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

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
            message = f"note: {record.trial_id}: its process was lost; it continues in another one"
        else:
            message = f"trial {record.trial_id} failed: {record.error}\n  see {file}"
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray pickles its callbacks into a file never read back; a live screen cannot be pickled."""
        return {}

    def _print_end(self, trial_id: str) -> None:
        if self._live:
            return
        trial = self._recorder.trials[trial_id]
        if is_confirmation := trial.phase == "confirm":
            plans = self._confirmations.values()
            done, total = sum(one.num_ended for one in plans), sum(one.num_runs for one in plans)
            place = f"confirmed {done}/{total}"
        else:
            done = sum(self._recorder.finished(scenario) for scenario in self._sharing)
            place = f"{done}/{len(self._sharing) * self._space.num_trials}"
        summary = trial.summary
        value = "none" if summary.metric_last is None else f"{summary.metric_last:.4f}"
        inherited = f" on {summary.epochs_inherited} of stage one" if summary.epochs_inherited else ""
        ended = f"{trial.status} after {summary.epochs_trained} epochs{inherited}, {self._space.metric} {value}"
        shown = f"{trial_id} ({trial.candidate})" if is_confirmation else trial_id
        print(f"[{place}] {shown} {ended}", flush=True)

    def _draw(self) -> None:
        assert self._live is not None
        progress = [
            scenario_progress(
                self._space,
                self._recorder,
                name,
                shared,
                self._confirmations.get(name),
                self._confirm_epochs.get(name, 0),
                self._is_searching,
            )
            for name, shared in self._sharing.items()
        ]
        elapsed_s = time.monotonic() - self._started
        self._live.update(live_table(self._space, progress, elapsed_s, self._new_epochs), refresh=True)
        self._drawn_at = time.monotonic()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
