"""Short texts about one trial, for the tables on a terminal."""

from __future__ import annotations

from absgd import records
from absgd.counts import after_epochs
from tune_runs.console_table import together, value_text
from tune_runs.recording.trial_record import TrialRecord
from tune_runs.space.model import SearchSpace
from tune_runs.space.setting_names import setting_of


def score(trial: TrialRecord | None) -> str:
    """Return the score of a completed trial, the epochs that a running one has done, else the status."""
    if trial is None:
        return "-"
    if trial.status == "running":
        return after_epochs(trial.epochs_done, trial.settings[records.COLUMN_OF["epochs"]])
    return f"{trial.summary.metric_last:.4f}" if trial.status == "completed" else str(trial.status)


def searched_value(trial: TrialRecord, parameter: str) -> str:
    """Return the value of a searched parameter."""
    return value_text(trial.settings[records.COLUMN_OF[setting_of(parameter)]])


def searched_values(space: SearchSpace, trial: TrialRecord) -> str:
    """Return all searched parameters with their values, for `ConsoleFacts`: a line never ends between the two."""
    return ", ".join(together(f"{name} {searched_value(trial, name)}") for name in space.search)
