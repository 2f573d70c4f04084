"""What can honestly be said of a scenario: one sentence, and the numbers behind it."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from analysis.best import best_rows
from analysis.cautions import validation_images
from analysis.compare import Finding
from analysis.controls import base_criteria, deciding_controls, is_raised, title_of
from analysis.frames import SCENARIO
from analysis.numbers import (
    METRIC_TITLES,
    difference_text,
    interval_text,
    is_fraction,
    p_text,
    plural,
    score_text,
    setting_text,
)

if TYPE_CHECKING:
    from analysis.runs import Runs

Outcome = Literal[
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
    """What can be said of a scenario."""

    folder: str
    scenario: str
    outcome: Outcome
    """`better`: than all deciding controls, worse than none; `worse`: than any; else what keeps one from saying so."""
    sentence: str
    """For who reads one sentence."""
    details: tuple[str, ...]
    """The numbers behind it, a sentence each: the score, deciding controls, and those that are better."""

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
        if winner.basis != "confirmed":
            told = _one_seed(one, winner, own)
        else:
            told = _unfinished(one.configurations, winner) or _confirmed(winner, own)
        found.append(Verdict(folder, scenario, *told))
    return found


_Told = tuple[Outcome, str, tuple[str, ...]]


def _confirmed(winner: pd.Series[Any], comparisons: pd.DataFrame) -> _Told:
    compared = comparisons[comparisons.n > 0]
    findings: dict[str, Finding] = dict(zip(compared.control, compared.finding, strict=True))
    deciding = deciding_controls(winner)
    worse = [name for name, finding in findings.items() if finding == "worse"]
    told = [row for _, row in compared.iterrows() if row.decides or row.finding == "worse"]
    details = (_score_sentence(winner), *map(_comparison_sentence, told))
    subject = subject_of(winner)
    if worse:
        rest = _listing({name: findings[name] for name in deciding if name in findings and name not in worse})
        sentence = (
            f"{subject} is worse than {_listed(worse)}: use {'that' if len(worse) == 1 else 'one of those'} instead."
        )
        return "worse", f"{sentence}{rest}", details
    if not set(deciding) & set(findings):
        return "no control", "No plain control was confirmed beside it, so no gain can be told.", details
    sentence = " ".join(
        _criterion_sentence(subject if place == 0 else "It", criterion, findings, is_raised(winner))
        for place, criterion in enumerate(base_criteria(winner))
    )
    return _outcome([findings.get(name) for name in deciding]), sentence, details


def _unfinished(configurations: pd.DataFrame, winner: pd.Series[Any]) -> _Told | None:
    """What is said while configurations that may win are still trained; None once they have ended."""
    able = configurations[(configurations.basis == "confirmed") & ~configurations.is_control]
    missing = int((able.num_seeds - able.num_ended).sum())
    if not missing:
        return None
    sentence = f"The confirmation has not ended: {plural(missing, 'run')} of the best configurations are missing."
    return "unfinished", f"{sentence} So far {subject_of(winner)} leads.", (_score_sentence(winner),)


def _outcome(findings: list[Finding | None]) -> Outcome:
    if "not distinguishable" in findings:
        return "not distinguishable"
    return "control missing" if None in findings else "better"


def subject_of(winner: pd.Series[Any]) -> str:
    """The configuration as the subject of a sentence for somebody who has not seen it."""
    lam = winner.get("lam")
    if pd.isna(lam):
        return str(winner.configuration)
    return f"ABSGD with lambda {setting_text(float(lam))} ({winner.configuration})"


def _listed(names: list[str]) -> str:
    titles = [title_of(name) for name in names]
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"


def _listing(findings: dict[str, Finding]) -> str:
    """How it stands to controls that it is not worse than; begins with a space, empty where there are none."""
    better = [name for name, finding in findings.items() if finding == "better"]
    equal = [name for name, finding in findings.items() if finding == "not distinguishable"]
    parts = [f"better than {_listed(better)}"] if better else []
    parts += [f"not distinguishable from {_listed(equal)}"] if equal else []
    return f" It is {' and '.join(parts)}." if parts else ""


def _criterion_sentence(subject: str, criterion: str, findings: dict[str, Finding], raised: bool) -> str:
    """How it stands to plain training on a criterion, at lr and, where that is another rate, at lr / ab_alpha."""
    at_lr, at_raised = findings.get(criterion), findings.get(f"{criterion}-lr")
    title, title_raised = title_of(criterion), title_of(f"{criterion}-lr")
    if not raised:
        if at_lr is None:
            return f"{subject} was not compared with {title}."
        return f"{subject} is {'better than' if at_lr == 'better' else 'not distinguishable from'} {title}."
    told: dict[tuple[Finding | None, Finding | None], str] = {
        ("better", "better"): f"is better than {title}, also at the same effective learning rate (lr / ab_alpha)",
        ("better", "not distinguishable"): f"is better than {title}, but not distinguishable from {title_raised}: "
        "the gain may be the larger learning rate alone",
        ("better", None): f"is better than {title}; whether the learning rate alone did it was not tried",
        ("not distinguishable", "better"): f"is better than {title_raised}, but not distinguishable from it at lr",
        ("not distinguishable", "not distinguishable"): f"is not distinguishable from {title} at either learning rate",
        ("not distinguishable", None): f"is not distinguishable from {title}",
        (None, "better"): f"is better than {title_raised}; it was not compared with it at lr",
        (None, "not distinguishable"): f"is not distinguishable from {title_raised}",
        (None, None): f"was not compared with {title}",
    }
    return f"{subject} {told[at_lr, at_raised]}."


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
        p = f"p {p_text(row.p_finding)}" + (f" by Holm over {row.num_finding} tests" if row.num_finding > 1 else "")
        sure = f"95 % interval {interval_text(row.metric, row.low, row.high)}, {p}, n = {row.n}"
    return f"{words[row.finding]} {title_of(row.control)}: {where} ({sure})."


def _one_seed(runs: Runs, winner: pd.Series[Any], comparisons: pd.DataFrame) -> _Told:
    metric = str(winner.metric)
    title = METRIC_TITLES.get(metric, metric)
    details = [f"{winner.configuration}: validation {title} {score_text(metric, winner.val_mean)}, one seed."]
    comparisons = comparisons[comparisons.n > 0]
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
