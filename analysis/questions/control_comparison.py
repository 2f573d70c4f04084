"""Differences between the best configuration and its controls, paired by seed, with findings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import pandas as pd

from absgd.comparisons import ClaimRules, Finding, RivalComparison, compare_at_look
from absgd.errors import UserError, nearest, shown
from absgd.records import DEFAULT_MARGIN, POINT
from analysis.frames.configurations import Basis
from analysis.frames.confirmation_looks import RivalRows
from analysis.frames.run_frames import RunFrames
from analysis.frames.selection import DEFAULT_RULE, sign_of
from analysis.frames.typed_frames import SCENARIO
from analysis.questions.deciding_controls import deciding_controls
from analysis.questions.winners import SEEDS, control_names, shown_trials, winners_of

On = Literal["auto", "test", "validation"]
Measured = Literal["test", "validation"]
LEVEL = 0.05
"""Largest probability that any finding is wrong."""


class _Comparison(NamedTuple):
    """A winner against one control; the fields are the columns of `compare`."""

    folder: str
    run: str
    scenario: str
    configuration: str
    control: str
    decides: bool
    basis: Basis
    on: Measured
    metric: str
    rule: str
    n: int
    num_unpaired: int
    mean: float
    control_mean: float
    difference: float
    std: float
    df: float
    low: float
    high: float
    p_value: float
    finding: Finding
    pairs_needed: float
    margin: float
    num_scenarios: float
    left: str | None


def compare(runs: RunFrames, control: str | None, on: On) -> pd.DataFrame:
    """Compare the best configuration of each scenario with its controls, paired by seed.

    Confirmed configurations are compared with confirmed controls on the test set, which took no part in the choice;
    before confirmation, the best trial is compared with the control of the search, on validation and from one seed.
    What a sequential confirmation has claimed, pair by pair, is read from its record; other runs are one look at all
    their pairs (`absgd.comparisons`).

    Args:
        runs: the runs.
        control: name of a control, such as `ce` or `ce-lr`; None for all.
        on: `test`, `validation`, or `auto`: test if both sides have it, else validation.

    Returns:
        One row per scenario and control: `folder`, `run`, `scenario`, `configuration`, `control`, `decides` (whether
        the configuration must beat this control to be called better), `basis`, `on`, `metric`, `rule`, `n` (pairs),
        `num_unpaired` (seeds that only one side has), `mean`, `control_mean` (over the pairs), `difference` (positive:
        the configuration is better), `std` (of a paired difference, moderated), `df` (its degrees of freedom), `low`,
        `high` (simultaneous 95 % interval: it leaves out zero exactly where the finding is `better` or `worse`),
        `p_value` (two-sided, corrected for all controls, scenarios and looks), `finding` (`better`, `worse`,
        `equivalent`: the interval is inside the margin, or `undecided`), `pairs_needed` (about how many more pairs
        decide it with 80 % power; NaN: decided, one pair, or more than a thousand), `margin`, all in units of the
        metric; `num_scenarios` (that share the level; NaN where the record of a confirmation says the finding), and
        `left` (why a sequential confirmation trains this control no longer: see `absgd.records.LeftReason`).

    Raises:
        UserError: if no scenario has the control, or `on` is not one of the three.
    """
    if on not in get_args(On):
        valid = ", ".join(f"`{name}`" for name in get_args(On))
        raise UserError(f"expected one of {valid}, got {shown(on)}{nearest(on, get_args(On))} (on)")
    winners = [winner for _, winner in winners_of(runs).iterrows()]
    scores = _scores(runs)
    names = [own.name for parts in scores.values() for own in parts[1:]]
    if not any(control in (None, name) for name in names):
        raise UserError(_no_control(runs.configurations, control))
    num_scenarios = max(1, sum(winner.basis == "confirmed" for winner in winners))
    rows = []
    for winner in winners:
        ours, *theirs = scores[winner.folder, winner.scenario]
        rows += _Winner(runs, winner, ours, theirs, on).compared(num_scenarios)
    table = pd.DataFrame(rows, columns=_Comparison._fields)
    return table if control is None else table[table.control == control].reset_index(drop=True)


def no_comparisons() -> pd.DataFrame:
    """Return the result of `compare` where no scenario has a control: its columns without rows."""
    return pd.DataFrame(columns=_Comparison._fields)


class _Scores(NamedTuple):
    """The scores of a configuration or control on each pair of seeds."""

    name: str
    by_seeds: dict[tuple[int, ...], dict[Measured, float]]


def _scores(runs: RunFrames) -> dict[tuple[str, str], list[_Scores]]:
    """Return the scores of each scenario's winner and of its controls, by folder and scenario."""
    columns = [*SCENARIO, "order", "configuration", "score", "test", *SEEDS]
    found: dict[tuple[str, str], list[_Scores]] = {}
    rows = shown_trials(runs)[columns].fillna(dict.fromkeys(SEEDS, -1))
    for folder, scenario, order, name, score, test, *seeds in rows.itertuples(index=False, name=None):
        own = found.setdefault((folder, scenario), [])
        if order == len(own):
            own.append(_Scores(str(name), {}))
        own[order].by_seeds[tuple(seeds)] = {"validation": float(score), "test": float(test)}
    return found


class _Pair(NamedTuple):
    """The scores of a winner and of a control on a pair of seeds."""

    seeds: tuple[int, ...]
    ours: dict[Measured, float]
    theirs: dict[Measured, float]


class _Winner:
    """The winner of a scenario, its controls, and the pairs of both."""

    def __init__(
        self, runs: RunFrames, winner: pd.Series[Any], ours: _Scores, theirs: Sequence[_Scores], on: On
    ) -> None:
        self._runs = runs
        self._winner = winner
        self._controls = [own.name for own in theirs]
        self._on = on
        self._num_trials = {own.name: len(ours.by_seeds) + len(own.by_seeds) for own in theirs}
        self._pairs = {own.name: _pairs(ours, own) for own in theirs}

    def compared(self, num_scenarios: int) -> list[_Comparison]:
        """Return a row for each control."""
        margin = _margin(self._runs.space_of(str(self._winner.folder)))
        rules = ClaimRules(margin, LEVEL, num_scenarios)
        found = {name: one for on in get_args(Measured) for name, one in self._fixed_look(on, rules).items()}
        recorded = self._recorded()
        return [self._row(name, found[name], rules, recorded.get(name)) for name in self._controls]

    def _measured(self, control: str) -> Measured:
        pairs = self._pairs[control]
        has_test = bool(pairs) and not any(math.isnan(one) for pair in pairs for one in _both(pair, "test"))
        return self._on if self._on != "auto" else "test" if has_test else "validation"

    def _usable(self, control: str) -> list[_Pair]:
        on = self._measured(control)
        return [pair for pair in self._pairs[control] if not any(map(math.isnan, _both(pair, on)))]

    def _fixed_look(self, on: Measured, rules: ClaimRules) -> dict[str, RivalComparison]:
        """Compare with the controls measured on `on`; those measured elsewhere count among the tests all the same."""
        sign = sign_of(self._winner.metric)
        scores: dict[str, dict[int, float]] = {"": {}}
        numbers: dict[tuple[int, ...], int] = {}
        for name in self._controls:
            if self._measured(name) != on:
                continue
            scores[name] = {}
            for pair in self._usable(name):
                number = numbers.setdefault(pair.seeds, len(numbers))
                scores[""][number], scores[name][number] = sign * pair.ours[on], sign * pair.theirs[on]
        found = compare_at_look("", scores, self._controls, rules, None)
        return {one.rival: one for one in found if one.rival in scores}

    def _recorded(self) -> RivalRows:
        """Return the search's record of this winner against each rival; empty where another comparison is asked for."""
        rows = self._runs.confirmation_of(str(self._winner.folder), str(self._winner.scenario))
        if self._winner.basis != "confirmed" or self._runs.rule.name != DEFAULT_RULE:
            return {}
        is_meant = {name: row["subject"] == self._winner.configuration for name, row in rows.items()}
        return {name: row for name, row in rows.items() if is_meant[name] and self._on in ("auto", row["on"])}

    def _row(
        self, control: str, found: RivalComparison, rules: ClaimRules, recorded: Mapping[str, Any] | None
    ) -> _Comparison:
        winner, usable = self._winner, self._usable(control)
        measured: Measured = self._measured(control)
        num_unpaired = self._num_trials[control] - 2 * len(usable)
        margin, left = rules.margin, None
        if recorded is not None:
            found = _as_comparison(recorded)
            margin, left, measured = recorded["margin"], recorded["left"], recorded["on"]
            num_unpaired = recorded["num_left_out"] or 0
        return _Comparison(
            folder=winner.folder,
            run=winner.run,
            scenario=winner.scenario,
            configuration=winner.configuration,
            control=control,
            decides=control in deciding_controls(winner),
            basis=winner.basis,
            on=measured,
            metric=winner.metric,
            rule=self._runs.rule.title,
            n=found.n,
            num_unpaired=num_unpaired,
            mean=_mean([pair.ours[measured] for pair in usable]),
            control_mean=_mean([pair.theirs[measured] for pair in usable]),
            difference=found.difference,
            std=found.std,
            df=found.df,
            low=found.low,
            high=found.high,
            p_value=found.p_value,
            finding=found.finding,
            pairs_needed=math.nan if found.pairs_needed is None else float(found.pairs_needed),
            margin=margin,
            num_scenarios=float(rules.num_scenarios) if recorded is None else math.nan,
            left=left,
        )


def _both(pair: _Pair, on: Measured) -> tuple[float, float]:
    return pair.ours[on], pair.theirs[on]


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the known values, as a frame's; NaN if there are none."""
    return float(pd.Series(values, dtype="float64").mean())


def _margin(space: Mapping[str, Any]) -> float:
    """Return the margin of a space in units of the metric."""
    section = space.get("confirm")
    points = section.get("margin") if isinstance(section, Mapping) else None
    if not isinstance(points, int | float) or isinstance(points, bool) or not 0 < points < math.inf:
        points = DEFAULT_MARGIN
    return POINT * float(points)


def _as_comparison(row: Mapping[str, Any]) -> RivalComparison:
    """Return a row of confirmation.parquet as a comparison; null becomes NaN."""
    numbers = {name: row[name] for name in RivalComparison._fields}
    missing = {name: math.nan for name, value in numbers.items() if value is None and name != "pairs_needed"}
    return RivalComparison(**{**numbers, **missing})


def _pairs(ours: _Scores, theirs: _Scores) -> list[_Pair]:
    common = [seeds for seeds in ours.by_seeds if seeds in theirs.by_seeds]
    return [_Pair(seeds, ours.by_seeds[seeds], theirs.by_seeds[seeds]) for seeds in common]


def _no_control(configurations: pd.DataFrame, control: str | None) -> str:
    there = control_names(configurations)
    if control is None or not there:
        return "nothing to compare: no scenario has both a finished trial and a finished control"
    return f"no scenario has a control {control!r}{nearest(control, there)}; there are {', '.join(there)}"
