"""The live table of a running search, and the summary at its end: numbers apart from drawing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray.tune import Callback
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from absgd import records
from absgd.terminal import shortened
from tune_runs.confirm.confirmation_table import confirmation_lines, confirmation_table, plain_table
from tune_runs.confirm.scenario_confirmation import ScenarioConfirmation
from tune_runs.preview.confirm_cost import confirm_cost
from tune_runs.recording.recorder import Recorder
from tune_runs.space.model import SearchSpace
from tune_runs.space.setting_names import setting_of
from tune_runs.trial.plan import task_of
from tune_runs.trial.reports import report_of
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.trunks.stage_one_sharing import StageOneSharing

REDRAW_EVERY_S = 0.5
_STATES = ("running", *records.FINISHED)


@dataclass(frozen=True)
class ScenarioProgress:
    """Where one scenario's search stands."""

    scenario: str
    states: dict[str, int]
    """Search trials by state, `waiting` among them."""
    best: dict[str, Any] | None
    """Row of the best completed trial."""
    control: dict[str, Any] | None
    """Row of the plain control."""
    epochs_done: int
    epochs_left: int
    """At most, unless a snapshot is missing: early stopping saves some of them."""
    confirmed: tuple[int, int] | None = None
    """Runs of its confirmation that have ended, and all of them; None before there is a plan."""


def scenario_progress(
    space: SearchSpace,
    recorder: Recorder,
    scenario: str,
    shared: StageOneSharing,
    confirmation: ScenarioConfirmation | None = None,
    confirm_epochs: int = 0,
    searches: bool = True,
) -> ScenarioProgress:
    """Count what the recorder knows of a scenario.

    Args:
        space: the search space.
        recorder: its records.
        scenario: name of the scenario.
        shared: how its trials share stage one.
        confirmation: of the scenario, where there is one.
        confirm_epochs: what it is expected to train, before its plan is made.
        searches: whether trials are trained in this session.
    """
    rows = [row for row in recorder.trials.values() if row["scenario"] == scenario]
    states = Counter(row["status"] for row in rows if row["phase"] == "search")
    states["waiting"] = max(0, space.num_trials - sum(states.values()) + states.pop("interrupted", 0))
    trial_epochs = _trial_epochs(space, recorder, scenario, shared)
    left = _controls_to_begin(recorder, scenario, shared, states["waiting"]) * space.epochs if searches else 0
    left += states["waiting"] * trial_epochs if searches else 0
    confirmed = None
    if confirmation is not None:
        confirmed = (confirmation.num_ended, confirmation.num_runs) if confirmation.runs else None
        left += confirmation.epochs_left if confirmed else confirm_epochs
    for row in rows:
        if row["status"] == "running" and row["phase"] != "confirm":
            done = len(recorder.epochs[row["trial_id"]])
            left += space.epochs - done if done or row["phase"] == "control" else trial_epochs
    return ScenarioProgress(
        scenario=scenario,
        states=dict(states),
        best=recorder.best(scenario),
        control=recorder.control(scenario),
        epochs_done=sum(row["epochs_trained"] for row in rows),
        epochs_left=left,
        confirmed=confirmed,
    )


def _trial_epochs(space: SearchSpace, recorder: Recorder, scenario: str, shared: StageOneSharing) -> int:
    """Epochs that a trial trains at most: from the earliest switch on where stage one is shared.

    All of them where a control has ended before the latest switch: there may be no snapshot to start from.
    """
    if not shared.shares:
        return space.epochs
    ended = [recorder.epochs[row["trial_id"]] for row in recorder.controls(scenario) if row["status"] != "running"]
    if any(len(epochs) < max(shared.fork_epochs) for epochs in ended):
        return space.epochs
    return space.epochs - min((*shared.fork_epochs, *shared.switch_epochs))


def _controls_to_begin(recorder: Recorder, scenario: str, shared: StageOneSharing, num_waiting: int) -> int:
    """Controls that may still begin: the scenario's own, and one for each trial with a stage one that is new."""
    own = recorder.control(scenario)
    to_begin = 0 if own else 1
    if not shared.shares or shared.num_stage_ones is None or shared.expected_trunks == 1:
        return to_begin
    searched = {
        row["stage_one_key"]
        for row in recorder.trials.values()
        if (row["scenario"], row["phase"]) == (scenario, "search")
    }
    begun = sum(row is not own or row["stage_one_key"] in searched for row in recorder.controls(scenario))
    return to_begin + min(num_waiting, shared.num_stage_ones - begun)


def seconds_left(epochs_done: int, epochs_left: int, elapsed_s: float) -> float | None:
    """At most this many seconds at the speed so far; None before anything is known.

    >>> seconds_left(epochs_done=10, epochs_left=30, elapsed_s=5.0)
    15.0
    """
    return elapsed_s * epochs_left / epochs_done if epochs_done else None


def live_table(
    space: SearchSpace, progress: list[ScenarioProgress], elapsed_s: float, new_epochs: int
) -> RenderableType:
    """The table that is redrawn while the search runs; a state in which no trial is has no column."""
    states = [state for state in ("waiting", *_STATES) if any(one.states.get(state) for one in progress)]
    confirms = ["confirmed"] if any(one.confirmed for one in progress) else []
    table = plain_table(f"{space.name}: {space.metric}", "scenario", *states, "best", "control", *confirms, "epochs")
    for one in progress:
        counts = (str(one.states.get(state, 0)) for state in states)
        epochs = f"{one.epochs_done}/{one.epochs_done + one.epochs_left}"
        confirmed = ["{}/{}".format(*one.confirmed) if one.confirmed else "-"] if confirms else []
        table.add_row(one.scenario, *counts, _score(one.best), _score(one.control), *confirmed, epochs)
    left = seconds_left(new_epochs, sum(one.epochs_left for one in progress), elapsed_s)
    clock = f"{_clock(elapsed_s)} gone" + (f", at most {_clock(left)} left" if left is not None else "")
    bests = (f"best of {one.scenario}: {_settings(space, one.best)}" for one in progress if one.best)
    return Group(table, *(Text(line) for line in (*bests, clock)))


class LiveTableCallback(Callback):  # type: ignore[misc]
    """Draws the live table on a terminal; elsewhere prints one line for each trial that ends.

    Lines count search trials alone: how many controls there will be is not known before the last trial is drawn.
    """

    def __init__(
        self,
        space: SearchSpace,
        plans: Mapping[str, ScenarioPlan],
        recorder: Recorder,
        console: Console,
        confirmations: Mapping[str, ScenarioConfirmation] | None = None,
        searches: bool = True,
    ) -> None:
        self._space, self._recorder, self._console = space, recorder, console
        self._confirmations, self._searches = confirmations or {}, searches
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._started = time.monotonic()
        self._new_epochs = 0
        self._sharing = {name: plan.sharing for name, plan in plans.items()}
        self._confirm_epochs = {
            name: confirm_cost(space, plan).epochs for name, plan in plans.items() if name in self._confirmations
        }
        self._drawn_at = 0.0

    def start(self) -> None:
        """Take the screen."""
        if self._live:
            self._live.start()

    def stop(self) -> None:
        """Draw once more and leave the table on the screen."""
        if self._live:
            self._draw()
            self._live.stop()

    def on_trial_result(self, *, trial: Any, result: dict[str, Any], **_: Any) -> None:
        """Count the epoch, and say what a trial has to say: a snapshot that it could not use or leave."""
        report = report_of(result)
        if report is None:
            return
        self._new_epochs += report.epoch is not None and not report.epoch.is_inherited
        for note in report.notes:
            text = f"note: {task_of(trial.config).trial_id}: {note}"
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def on_step_end(self, **_: Any) -> None:
        """Redraw now and then."""
        if self._live and time.monotonic() - self._drawn_at >= REDRAW_EVERY_S:
            self._draw()

    def on_trial_complete(self, *, trial: Any, **_: Any) -> None:
        """Say how a trial ended."""
        self._say(task_of(trial.config).trial_id)

    def on_trial_error(self, *, trial: Any, **_: Any) -> None:
        """Say why a trial failed, on a terminal too, or that it goes on."""
        row = self._recorder.trials[task_of(trial.config).trial_id]
        file = records.error_file(shortened(self._recorder.folder), row["trial_id"])
        if row["status"] == "running":
            message = f"note: {row['trial_id']}: its process was lost: it goes on in another one"
        else:
            message = f"trial {row['trial_id']} failed: {row['error']}\n  see {file}"
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its callbacks into a file that is never read back; a live screen cannot be pickled."""
        return {}

    def _say(self, trial_id: str) -> None:
        if self._live:
            return
        row = self._recorder.trials[trial_id]
        if is_confirmation := row["phase"] == "confirm":
            plans = self._confirmations.values()
            done, total = sum(one.num_ended for one in plans), sum(one.num_runs for one in plans)
            place = f"confirmed {done}/{total}"
        else:
            done = sum(self._recorder.finished(scenario) for scenario in self._sharing)
            place = f"{done}/{len(self._sharing) * self._space.num_trials}"
        value = "none" if row["metric_last"] is None else f"{row['metric_last']:.4f}"
        inherited = f" on {row['epochs_inherited']} of stage one" if row["epochs_inherited"] else ""
        ended = f"{row['status']} after {row['epochs_trained']} epochs{inherited}, {self._space.metric} {value}"
        shown = f"{trial_id} ({row['candidate']})" if is_confirmation else trial_id
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
                self._searches,
            )
            for name, shared in self._sharing.items()
        ]
        elapsed_s = time.monotonic() - self._started
        self._live.update(live_table(self._space, progress, elapsed_s, self._new_epochs), refresh=True)
        self._drawn_at = time.monotonic()


def summary_table(space: SearchSpace, recorder: Recorder) -> Table:
    """What the search found: the best trial of each scenario beside its plain control."""
    title = f"{space.name}: best by {space.metric} at the last epoch"
    table = plain_table(title, "scenario", "best", "control", *space.search)
    for scenario in space.scenario_list:
        best = recorder.best(scenario.name)
        values = (_setting(best, name) if best else "-" for name in space.search)
        table.add_row(scenario.name, _score(best), _score(recorder.control(scenario.name)), *values)
    return table


def print_summary(
    space: SearchSpace,
    recorder: Recorder,
    console: Console,
    confirmations: Mapping[str, ScenarioConfirmation] | None = None,
) -> None:
    """The summary table, that of the confirmation as far as there is one, and where everything lies."""
    console.print(summary_table(space, recorder))
    folder = shortened(recorder.folder)
    lines = ["control: the plain base criterion; both scores on validation, from one seed"]
    if table := confirmation_table(space, confirmations or {}):
        for line in (*lines, ""):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        console.print(table)
        lines = confirmation_lines(confirmations or {})
    lines += [
        f"results: {folder / records.TRIALS_FILE}, {folder / records.EPOCHS_FILE}",
    ]
    found = [scenario.name for scenario in space.scenario_list if recorder.best(scenario.name)]
    lines += [f"again:   absgd-train --config {records.best_file(folder, name)}" for name in found]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _settings(space: SearchSpace, row: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_setting(row, name)}" for name in space.search)


def _setting(row: dict[str, Any], parameter: str) -> str:
    """A searched parameter of a trial row, short."""
    value = row[records.COLUMN_OF[setting_of(parameter)]]
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _score(row: dict[str, Any] | None) -> str:
    """A trial's score; of one that is not complete, how it stands instead."""
    if row is None:
        return "-"
    if row["status"] == "running":
        return f"epoch {row['epochs_trained'] + row['epochs_inherited']}"
    return f"{row['metric_last']:.4f}" if row["status"] == "completed" else str(row["status"])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
