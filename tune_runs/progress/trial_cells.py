"""Short texts about one trial, for the tables on a terminal."""

from __future__ import annotations

from absgd import records
from absgd.counts import after_epochs
from absgd.records import column_words
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
    return _values_text(trial) if trial.status == "completed" else str(trial.status)


def metric_words(space: SearchSpace) -> str:
    """Return the name of the metric in words; of a Pareto search both, in the order of its scores."""
    return " / ".join(map(column_words, space.objective.metrics))


def metrics_text(space: SearchSpace, trial: TrialRecord) -> str:
    """Return the metric with its value at the last epoch; of a Pareto search both."""
    return f"{' / '.join(space.objective.metrics)} {_values_text(trial) or 'none'}"


def _values_text(trial: TrialRecord) -> str:
    return " / ".join(f"{value:.4f}" for value in trial.summary.last_values)


def searched_value(trial: TrialRecord, parameter: str) -> str:
    """Return the value of a searched parameter."""
    return value_text(records.column_value(trial.settings, records.column_of(setting_of(parameter))))


def searched_values(space: SearchSpace, trial: TrialRecord) -> str:
    """Return all searched parameters with their values, for `ConsoleFacts`: a line never ends between the two."""
    return ", ".join(together(f"{name} {searched_value(trial, name)}") for name in space.search)
