"""The table of the progress of a search, whether it runs here or is read from its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType

from absgd import records
from tune_runs.console_table import ConsoleFacts, ConsoleTable
from tune_runs.progress.trial_cells import metric_words, score, searched_values
from tune_runs.recording.trial_record import TrialRecord
from tune_runs.space.model import SearchSpace

_STATES = ("waiting", "running", *records.FINISHED)
EndedOfAll = tuple[int, int | None]
"""Runs that have ended, and all of them or the most; None: not known."""


@dataclass(frozen=True)
class ScenarioProgress:
    """Counts of one scenario of a search."""

    scenario: str
    states: dict[str, int]
    """Search trials by status, and those that wait as `waiting`."""
    best: TrialRecord | None
    """The trial of the chosen configuration: the best completed one, or the winner of a confirmation that has ended."""
    control: TrialRecord | None
    """The scenario's own plain control."""
    epochs_done: int
    epochs_left: int | None = None
    """Largest number of epochs to train, unless a snapshot is missing; early stopping saves some of them. None: not
    known."""
    num_running: int = 0
    """Runs of any kind that train now."""
    on_pairs: EndedOfAll | None = None
    """Trials that have ended on further seed pairs, and the most of them; None where the search has one pair."""
    tuned: EndedOfAll | None = None
    """Ended runs and all runs of tuned controls; None where none is tuned."""
    confirmed: EndedOfAll | None = None
    """Ended runs and all runs of the confirmation; None before it is planned."""


def progress_table(space: SearchSpace, progress: Sequence[ScenarioProgress], *lines: str) -> RenderableType:
    """Draw the table of a search; states without trials have no column.

    Args:
        space: the search space.
        progress: progress of each scenario.
        lines: sentences below the table.
    """
    states = [state for state in _STATES if any(one.states.get(state) for one in progress)]
    further = [
        ("on pairs", [one.on_pairs for one in progress]),
        ("tuned", [one.tuned for one in progress]),
        ("confirmed", [one.confirmed for one in progress]),
    ]
    further = [(heading, parts) for heading, parts in further if any(parts)]
    columns = ["scenario", *states, "best", "control", *(heading for heading, _ in further), "epochs"]
    table = ConsoleTable(columns, f"{space.name}: {metric_words(space)}")
    for place, one in enumerate(progress):
        counts = (str(one.states.get(state, 0)) for state in states)
        done = (_of_all(parts[place]) for _, parts in further)
        epochs = (one.epochs_done, None if one.epochs_left is None else one.epochs_done + one.epochs_left)
        table.add_row(one.scenario, *counts, score(one.best), score(one.control), *done, _of_all(epochs))
    bests = [f"best of {one.scenario}: {searched_values(space, one.best)}" for one in progress if one.best]
    return Group(table, ConsoleFacts([("", line) for line in (*bests, *lines)]))


def _of_all(counts: EndedOfAll | None) -> str:
    """Return `3/8`, or `3` where all are not known.

    >>> _of_all((3, 8)), _of_all((3, None)), _of_all(None)
    ('3/8', '3', '-')
    """
    if counts is None:
        return "-"
    ended, every = counts
    return str(ended) if every is None else f"{ended}/{every}"
