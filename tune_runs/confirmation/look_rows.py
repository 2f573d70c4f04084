"""The table confirmation.parquet: its rows, one for each rival at each look, and its file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absgd import records
from absgd.comparisons import PriorVariance
from absgd.errors import UserError
from tune_runs.confirmation.rounds import RivalLook, RoundRules, Rounds

_NUMBERS = ("difference", "std", "df", "low", "high", "p_value")


class LookFile:
    """The file of a scenario's looks, which is replaced whole.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: list[dict[str, Any]] | None = None

    def first_row(self, trial_id: str) -> dict[str, Any] | None:
        """Return the first row of earlier looks at a trial of the search; None if there is none.

        A row of an earlier version names no trial, and counts for any. A damaged file counts as absent: it is written
        anew.
        """
        try:
            rows = records.read_rows(self._path, records.CONFIRMATION_SCHEMA)
        except UserError:
            return None
        return next((row for row in rows if row["subject_trial"] in (trial_id, None)), None)

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Write all rows, unless they are those last written; a session begins with writing them.

        Raises:
            OSError: if they cannot be written.
        """
        if rows == self._written or (not rows and not self._path.exists()):
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        records.write_table(self._path, records.as_table(records.CONFIRMATION_SCHEMA, rows))
        self._written = rows


def look_rows(rounds: Rounds, trial_id: str, scenario: str, metric: str, rules: RoundRules) -> list[dict[str, Any]]:
    """Return one row for each rival at each look until it leaves; numbers that do not exist are None.

    Args:
        rounds: the replayed rounds.
        trial_id: of the subject, in the search.
        scenario: name of the scenario.
        metric: metric of the search.
        rules: the rules that they were replayed under.
    """
    about = {"scenario": scenario, "subject": rounds.subject, "on": "test", "metric": metric}
    prior = rules.prior
    rule = {
        "subject_trial": trial_id,
        "margin": rules.claims.margin,
        "level": rules.claims.level,
        "earlier_variance": prior.variance if prior else None,
        "earlier_df": prior.df if prior else None,
    }
    return [{**about, "look": look.round, **_columns(one), **rule} for look in rounds.looks for one in look.rivals]


def recorded_prior(row: Mapping[str, Any]) -> PriorVariance | None:
    """Return the spread of the search's pairs with which a row was found; None: without any."""
    variance, df = row["earlier_variance"], row["earlier_df"]
    return None if variance is None or df is None else PriorVariance(variance, df)


def _columns(one: RivalLook) -> dict[str, Any]:
    found = one.comparison
    numbers = {name: getattr(found, name) for name in _NUMBERS}
    return {
        "rival": found.rival,
        "n": found.n,
        "num_left_out": one.num_left_out,
        **{name: None if math.isnan(value) else value for name, value in numbers.items()},
        "finding": found.finding,
        "left": one.left,
        "pairs_needed": found.pairs_needed,
    }
