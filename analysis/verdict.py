"""What can honestly be said of a scenario: one sentence, and the numbers behind it."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from analysis.best import best_rows, title_of
from analysis.cautions import validation_images
from analysis.frames import SCENARIO
from analysis.numbers import (
    METRIC_TITLES,
    difference_text,
    interval_text,
    is_fraction,
    p_text,
    plural,
    score_text,
)

if TYPE_CHECKING:
    from analysis.runs import Runs

Outcome = Literal["better", "not distinguishable", "worse", "one seed", "no control", "nothing finished"]
ALPHA = 0.05
MAIN_CONTROLS = ("ce-lr", "ce")
"""Controls that decide the verdict; the gain over plain training at the same effective learning rate above all."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What can be said of a scenario."""

    folder: str
    scenario: str
    outcome: Outcome
    """`better`: than both main controls, and worse than none; `worse`: than any; else what keeps one from saying so."""
    sentence: str
    """For who reads one sentence."""
    details: tuple[str, ...]
    """The numbers behind it, a sentence each."""

    def __str__(self) -> str:
        return f"{self.scenario}: {self.sentence}"


def verdicts(runs: Runs) -> list[Verdict]:
    """One verdict for each scenario of each folder, in order; p-values are corrected over all of them."""
    winners = best_rows(runs.configurations, SCENARIO).set_index(SCENARIO)
    comparisons = runs.comparisons
    found = []
    for one in runs.scenarios():
        folder, scenario = one.trials.folder.iloc[0], one.trials.scenario.iloc[0]
        if (folder, scenario) not in winners.index:
            text = "No trial of the search has finished, so there is nothing to choose."
            found.append(Verdict(folder, scenario, "nothing finished", text, ()))
            continue
        winner = best_rows(one.configurations, SCENARIO).iloc[0]
        own = comparisons[(comparisons.folder == folder) & (comparisons.scenario == scenario)]
        told = _confirmed(winner, own) if winner.basis == "confirmed" else _one_seed(one, winner, own)
        found.append(Verdict(folder, scenario, *told))
    return found


def outcome_of(row: pd.Series[Any]) -> Outcome:
    """Of one comparison of `compare`."""
    if math.isnan(row.p_holm) or row.p_holm >= ALPHA:
        return "not distinguishable"
    return "better" if row.difference > 0 else "worse"


_Told = tuple[Outcome, str, tuple[str, ...]]


def _confirmed(winner: pd.Series[Any], comparisons: pd.DataFrame) -> _Told:
    rows = {row.control: row for _, row in comparisons.iterrows() if row.n > 0}
    details = (_score_sentence(winner), *(_comparison_sentence(row) for row in rows.values()))
    main = [rows[name] for name in MAIN_CONTROLS if name in rows]
    if not main:
        return "no control", "No plain control was confirmed beside it, so no gain can be told.", details
    outcomes = {row.control: outcome_of(row) for row in main}
    told = _sentence(outcomes, winner.configuration)
    others = [name for name, row in rows.items() if name not in outcomes and outcome_of(row) == "worse"]
    if others and "worse" not in outcomes.values():
        also = f"{winner.configuration} is worse than {_listed([title_of(name) for name in others])}: use that instead."
        return "worse", f"{also} It {told.removeprefix(winner.configuration).lstrip()}", details
    return _main_outcome(outcomes), told, details


def _listed(titles: list[str]) -> str:
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"


def _main_outcome(outcomes: dict[str, Outcome]) -> Outcome:
    if "worse" in outcomes.values():
        return "worse"
    return "better" if set(outcomes.values()) == {"better"} else "not distinguishable"


def _sentence(outcomes: dict[str, Outcome], name: str) -> str:
    ce, ce_lr = outcomes.get("ce"), outcomes.get("ce-lr")
    if "worse" in (ce, ce_lr):
        control = "ce" if ce == "worse" else "ce-lr"
        return f"{name} is worse than {title_of(control)}: use that instead."
    if ce_lr == "better" and ce in ("better", None):
        return f"{name} is better than plain cross entropy, also at the same effective learning rate (lr / ab_alpha)."
    if ce_lr == "not distinguishable" and ce == "better":
        return (
            f"{name} is better than plain cross entropy, but not distinguishable from plain cross entropy at "
            "lr / ab_alpha: the gain may be the larger learning rate alone."
        )
    if ce_lr is None and ce == "better":
        return f"{name} is better than plain cross entropy; whether the learning rate alone did it was not tried."
    if ce_lr == "better":
        return f"{name} is better than plain cross entropy at lr / ab_alpha, but not distinguishable from it at lr."
    return (
        f"{name} is not distinguishable from plain cross entropy{' at either learning rate' if ce_lr and ce else ''}."
    )


def _score_sentence(winner: pd.Series[Any]) -> str:
    metric, title = str(winner.metric), METRIC_TITLES.get(str(winner.metric), str(winner.metric))
    validation = score_text(metric, winner.val_mean, winner.val_std)
    text = f"{winner.configuration}: validation {title} {validation}"
    if not math.isnan(winner.test_mean):
        text += f", test {score_text(metric, winner.test_mean, winner.test_std)}"
    return f"{text}, mean ± standard deviation over {plural(int(winner.n), 'fresh seed')}."


def _comparison_sentence(row: pd.Series[Any]) -> str:
    words = {"better": "Better than", "worse": "Worse than", "not distinguishable": "Not distinguishable from"}
    where = f"{difference_text(row.metric, row.difference)} on {row.on}"
    if math.isnan(row.low):
        sure = f"{plural(int(row.n), 'pair')}, no interval"
    else:
        p = f"p {p_text(row.p_holm)}" + (f" by Holm over {row.num_tests} scenarios" if row.num_tests > 1 else "")
        sure = f"95 % interval {interval_text(row.metric, row.low, row.high)}, {p}, n = {row.n}"
    return f"{words[outcome_of(row)]} {title_of(row.control)}: {where} ({sure})."


def _one_seed(runs: Runs, winner: pd.Series[Any], comparisons: pd.DataFrame) -> _Told:
    metric = str(winner.metric)
    title = METRIC_TITLES.get(metric, metric)
    details = [f"{winner.configuration}: validation {title} {score_text(metric, winner.val_mean)}, one seed."]
    if comparisons.empty:
        return "no control", "One seed, and no control beside it: no gain can be told.", tuple(details)
    row = comparisons.iloc[0]
    gap = difference_text(metric, abs(row.difference)).replace("+", "")
    side = "ahead of" if row.difference > 0 else "behind" if row.difference < 0 else "level with"
    by = f"{gap} " if row.difference else ""
    sentence = (
        f"On one seed the best trial is {by}{side} {title_of(row.control)} on validation: "
        "not a finding until it is confirmed on fresh seeds."
    )
    images = validation_images(runs, winner)
    if images and is_fraction(metric):
        error = math.sqrt(max(row.control_mean * (1 - row.control_mean), 0.0) / images)
        details.append(
            f"With {images:,} validation images one such score has a standard error of about {100 * error:.1f} points, "
            "and the best of many trials is lucky."
        )
    return "one seed", sentence, tuple(details)
