"""The claim that the results of a scenario support: one sentence, and the numbers behind it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal, NamedTuple

import pandas as pd

from absgd.records import METRIC_TITLES
from analysis.frames.run_frames import RunFrames, of_scenario
from analysis.frames.typed_frames import SCENARIO
from analysis.questions.cautions import validation_images
from analysis.questions.control_comparison import Finding
from analysis.questions.deciding_controls import base_criteria, deciding_controls, has_raised_lr
from analysis.questions.verdict_sentences import (
    comparison_sentence,
    criterion_sentence,
    listed,
    not_worse_sentence,
    score_sentence,
    subject_of,
)
from analysis.questions.winners import best_rows
from analysis.wording.number_text import difference_text, is_fraction, plural, score_text
from analysis.wording.titles import title_of_control

VerdictOutcome = Literal[
    "better",
    "not distinguishable",
    "worse",
    "control missing",
    "unfinished",
    "one seed",
    "no control",
    "nothing finished",
]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The claim that the results of a scenario support."""

    folder: str
    scenario: str
    outcome: VerdictOutcome
    """`better`: than all deciding controls, and worse than none; `worse`: than any; else why neither can be claimed."""
    sentence: str
    """The verdict for readers of one sentence."""
    details: tuple[str, ...]
    """The numbers behind it, one sentence each: the score, the deciding controls, and the controls that are better."""

    def __str__(self) -> str:
        return f"{self.scenario}: {self.sentence}"


def verdicts(runs: RunFrames, comparisons: pd.DataFrame) -> list[Verdict]:
    """Return one verdict per scenario of each folder, in order; p-values are corrected over all of them.

    Args:
        runs: the runs.
        comparisons: their comparison with all controls, from `control_comparison.compare`; empty if there are none.
    """
    winners = best_rows(runs.configurations, SCENARIO).set_index(SCENARIO)
    found = []
    for one in runs.scenarios():
        folder, scenario = one.trials.folder.iloc[0], one.trials.scenario.iloc[0]
        if (folder, scenario) not in winners.index:
            text = "No trial of the search has finished, so there is nothing to choose."
            found.append(Verdict(folder, scenario, "nothing finished", text, ()))
            continue
        winner = best_rows(one.configurations, SCENARIO).iloc[0]
        own = of_scenario(comparisons, folder, scenario)
        if winner.basis != "confirmed":
            statement = _one_seed(one, winner, own)
        else:
            statement = _unfinished(one.configurations, winner) or _confirmed(winner, own)
        found.append(Verdict(folder, scenario, *statement))
    return found


class _Statement(NamedTuple):
    """A verdict without its scenario."""

    outcome: VerdictOutcome
    sentence: str
    details: tuple[str, ...]


def _confirmed(winner: pd.Series[Any], comparisons: pd.DataFrame) -> _Statement:
    compared = comparisons[comparisons.n > 0]
    findings: dict[str, Finding] = dict(zip(compared.control, compared.finding, strict=True))
    deciding = deciding_controls(winner)
    worse = [name for name, finding in findings.items() if finding == "worse"]
    shown = [row for _, row in compared.iterrows() if row.decides or row.finding == "worse"]
    details = (score_sentence(winner), *map(comparison_sentence, shown))
    subject = subject_of(winner)
    if worse:
        rest = not_worse_sentence({name: findings[name] for name in deciding if name in findings and name not in worse})
        sentence = (
            f"{subject} is worse than {listed(worse)}: use {'that' if len(worse) == 1 else 'one of those'} instead."
        )
        return _Statement("worse", f"{sentence}{rest}", details)
    if not set(deciding) & set(findings):
        return _Statement("no control", "No plain control was confirmed, so no gain can be claimed.", details)
    sentence = " ".join(
        criterion_sentence(subject if place == 0 else "It", criterion, findings, has_raised_lr(winner))
        for place, criterion in enumerate(base_criteria(winner))
    )
    return _Statement(_outcome([findings.get(name) for name in deciding]), sentence, details)


def _unfinished(configurations: pd.DataFrame, winner: pd.Series[Any]) -> _Statement | None:
    """Return the statement made while configurations that may win are still trained; None once they have ended."""
    able = configurations[(configurations.basis == "confirmed") & ~configurations.is_control]
    missing = int((able.num_seeds - able.num_ended).sum())
    if not missing:
        return None
    sentence = f"The confirmation has not ended: {plural(missing, 'run')} of the best configurations are missing."
    return _Statement("unfinished", f"{sentence} So far {subject_of(winner)} leads.", (score_sentence(winner),))


def _outcome(findings: list[Finding | None]) -> VerdictOutcome:
    if "not distinguishable" in findings:
        return "not distinguishable"
    return "control missing" if None in findings else "better"


def _one_seed(runs: RunFrames, winner: pd.Series[Any], comparisons: pd.DataFrame) -> _Statement:
    metric = str(winner.metric)
    title = METRIC_TITLES.get(metric, metric)
    details = [f"{winner.configuration}: validation {title} {score_text(metric, winner.val_mean)}, one seed."]
    comparisons = comparisons[comparisons.n > 0]
    if comparisons.empty:
        return _Statement("no control", "One seed and no control: no gain can be claimed.", tuple(details))
    row = comparisons.iloc[0]
    gap = difference_text(metric, abs(row.difference)).replace("+", "")
    place = "ahead of" if row.difference > 0 else "behind" if row.difference < 0 else "level with"
    by = f"{gap} " if row.difference else ""
    sentence = (
        f"On one seed the best trial is {by}{place} {title_of_control(row.control)} on validation: "
        "not a finding until it is confirmed on fresh seeds."
    )
    images = validation_images(runs, winner)
    if images and is_fraction(metric):
        error = math.sqrt(max(row.control_mean * (1 - row.control_mean), 0.0) / images)
        details.append(
            f"With {images:,} validation images one such score has a standard error of about {100 * error:.1f} points, "
            "and the best of many trials is lucky."
        )
    return _Statement("one seed", sentence, tuple(details))
