"""The status with which each trial of a plain Ray Tune script ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from absgd.counts import plural
from absgd.records import Status
from analysis.frames.complaints import Complain
from analysis.frames.ray_states import STATE_FILES, UNFINISHED, RayState, read_states
from analysis.frames.ray_trial import RayTrial

LOSSES = ("val_loss", "train_loss")
"""Columns that, besides the deciding metric, tell that a trial diverged."""


def outcomes(path: Path, trials: Sequence[RayTrial], metric: str, complain: Complain) -> list[Status]:
    """Return the status of each trial.

    Ray's state files decide which trials failed and which never ended. Ray does not record why a trial ended: one whose
    last metric or loss is NaN or infinite is `diverged`; one that ended before the longest trial and before its own
    `epochs` is `pruned`; the others are `completed`.

    Args:
        path: the experiment folder.
        trials: its trials.
        metric: the deciding metric.
        complain: takes a sentence about each assumption.
    """
    states = read_states(path, complain)
    known = {state.folder: state for state in states} | {state.trial_id: state for state in states}
    own = [known.get(trial.name) or known.get(trial.ray_id or "") for trial in trials]
    longest = max(trial.epochs_reached for trial in trials)
    telling = {name for name in (metric, *LOSSES) if _is_ever_known(trials, name)}
    found = [_status(trial, state, longest, telling) for trial, state in zip(trials, own, strict=True)]
    _say(trials, own, found, longest, complain)
    unscored = sum(
        status == "completed" and trial.epochs[-1].get(metric) is None
        for trial, status in zip(trials, found, strict=True)
    )
    if unscored:
        complain(f"{plural(unscored, 'completed trial')} without `{metric}` in the last result: no score there")
    absent = len(states) - len({state.trial_id for state in own if state is not None})
    if absent:
        complain(f"{absent} of {plural(len(states), 'trial')} in {STATE_FILES} have no readable folder: left out")
    return found


def _status(trial: RayTrial, state: RayState | None, longest: int, telling: Collection[str]) -> Status:
    if state is not None and state.status in UNFINISHED:
        return "running" if state.status == "RUNNING" else "interrupted"
    has_failed = trial.has_error if state is None else state.status == "ERROR"
    if has_failed or not trial.epochs:
        return "failed"
    if trial.not_finite & set(telling):
        return "diverged"
    is_short = trial.epochs_reached < min(longest, trial.settings.get("epochs", longest))
    return "pruned" if is_short else "completed"


def _is_ever_known(trials: Sequence[RayTrial], column: str) -> bool:
    return any(row.get(column) is not None for trial in trials for row in trial.epochs)


def _say(
    trials: Sequence[RayTrial],
    states: Sequence[RayState | None],
    found: Sequence[Status],
    longest: int,
    complain: Complain,
) -> None:
    """Report what was assumed about how trials ended."""
    rows = list(zip(trials, states, found, strict=True))
    counts = {
        f"ended before the longest one ({longest} epochs): taken as stopped early": found.count("pruned"),
        "ended with a metric or loss that is NaN or infinite: taken as diverged": found.count("diverged"),
        "raised an error, started again and ended as told by Ray: not failed": sum(
            trial.has_error and state is not None and status != "failed" for trial, state, status in rows
        ),
        f"raised an error, and no {STATE_FILES} says whether they started again: taken as failed": sum(
            trial.has_error and state is None for trial, state, _ in rows
        ),
        "changed their settings while they trained: the last ones are shown": sum(
            trial.settings_changed for trial in trials
        ),
    }
    for sentence, number in counts.items():
        if number:
            complain(f"{plural(number, 'trial')} {sentence}")
