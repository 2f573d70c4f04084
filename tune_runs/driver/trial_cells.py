"""Short texts about one trial, for the tables on a terminal."""

from __future__ import annotations

from absgd import records
from tune_runs.recording.trial_record import TrialRecord
from tune_runs.space.model import SearchSpace
from tune_runs.space.setting_names import setting_of


def score(trial: TrialRecord | None) -> str:
    """Return the score of a completed trial, the epoch of a running one, else the status."""
    if trial is None:
        return "-"
    if trial.status == "running":
        return f"epoch {trial.epochs_done}"
    return f"{trial.summary.metric_last:.4f}" if trial.status == "completed" else str(trial.status)


def searched_value(trial: TrialRecord, parameter: str) -> str:
    """Return the value of a searched parameter."""
    value = trial.settings[records.COLUMN_OF[setting_of(parameter)]]
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def searched_values(space: SearchSpace, trial: TrialRecord) -> str:
    """Return all searched parameters with their values."""
    return ", ".join(f"{name} {searched_value(trial, name)}" for name in space.search)
