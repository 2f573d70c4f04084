"""The sentences of a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from absgd.counts import plural
from absgd.records import METRIC_TITLES, VerdictOutcome
from analysis.questions.control_comparison import Finding
from analysis.wording.number_text import difference_text, interval_text, p_text, score_text, setting_text
from analysis.wording.titles import title_of_control


def subject_of(winner: pd.Series[Any]) -> str:
    """Return the configuration as the subject of a sentence, for readers who have not seen it before."""
    lam = winner.get("lam")
    if pd.isna(lam):
        return str(winner.configuration)
    return f"ABSGD with lambda {setting_text(float(lam))} ({winner.configuration})"


def listed(names: list[str]) -> str:
    """Return the titles of controls as a list in words."""
    titles = [title_of_control(name) for name in names]
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"


def not_worse_sentence(findings: dict[str, Finding]) -> str:
    """Compare the winner with controls that it is not worse than; begins with a space, empty if there are none."""
    better = [name for name, finding in findings.items() if finding == "better"]
    equal = [name for name, finding in findings.items() if finding == "not distinguishable"]
    parts = [f"better than {listed(better)}"] if better else []
    parts += [f"not distinguishable from {listed(equal)}"] if equal else []
    return f" It is {' and '.join(parts)}." if parts else ""


MOST_AHEAD = 3
"""Number of controls that a sentence names as ahead."""


def ahead_sentence(rows: pd.DataFrame) -> str:
    """Name controls that are ahead of the winner by points alone; begins with a space, empty if there are none.

    Args:
        rows: their rows of `control_comparison.compare`, the furthest ahead first.
    """
    if rows.empty:
        return ""
    shown = [
        f"{title_of_control(row.control)} by {difference_text(row.metric, -row.difference).removeprefix('+')}"
        for _, row in rows.head(MOST_AHEAD).iterrows()
    ]
    shown += [f"{len(rows) - MOST_AHEAD} more"] if len(rows) > MOST_AHEAD else []
    names = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return f" Ahead of {rows.configuration.iloc[0]} on {rows.on.iloc[0]}, but not distinguishable from it: {names}."


def confirmed_advice(outcome: VerdictOutcome, ahead: Sequence[str]) -> str:
    """Return whether to use a confirmed configuration that is worse than no control.

    Args:
        outcome: of its verdict.
        ahead: controls ahead of it by points alone, the furthest first.
    """
    if outcome == "better":
        first = f", or {title_of_control(ahead[0])}: more seeds would tell which" if ahead else ""
        return f"Use it{first}."
    if outcome == "control missing":
        return "Train the missing control before using it."
    plainest = "the simplest of those ahead" if ahead else "plain training, which is simpler"
    return f"No reason to use it on this evidence: take {plainest}, or confirm it on more seeds."


def criterion_sentence(subject: str, criterion: str, findings: dict[str, Finding], raised: bool) -> str:
    """Compare the winner with plain training on a criterion, at lr and, if that differs, at lr / ab_alpha."""
    at_lr, at_raised = findings.get(criterion), findings.get(f"{criterion}-lr")
    title, title_raised = title_of_control(criterion), title_of_control(f"{criterion}-lr")
    if not raised:
        if at_lr is None:
            return f"{subject} was not compared with {title}."
        return f"{subject} is {'better than' if at_lr == 'better' else 'not distinguishable from'} {title}."
    predicates: dict[tuple[Finding | None, Finding | None], str] = {
        ("better", "better"): f"is better than {title}, also at the same effective learning rate (lr / ab_alpha)",
        ("better", "not distinguishable"): f"is better than {title}, but not distinguishable from {title_raised}: "
        "the gain may be the larger learning rate alone",
        ("better", None): f"is better than {title}; whether the learning rate alone explains the gain was not tested",
        ("not distinguishable", "better"): f"is better than {title_raised}, but not distinguishable from it at lr",
        ("not distinguishable", "not distinguishable"): f"is not distinguishable from {title} at either learning rate",
        ("not distinguishable", None): f"is not distinguishable from {title}",
        (None, "better"): f"is better than {title_raised}; it was not compared with it at lr",
        (None, "not distinguishable"): f"is not distinguishable from {title_raised}",
        (None, None): f"was not compared with {title}",
    }
    return f"{subject} {predicates[at_lr, at_raised]}."


def score_sentence(winner: pd.Series[Any]) -> str:
    """Return the winner's scores over fresh seeds as a sentence."""
    metric, title = str(winner.metric), METRIC_TITLES.get(str(winner.metric), str(winner.metric))
    validation = score_text(metric, winner.val_mean, winner.val_std)
    text = f"{winner.configuration}: validation {title} {validation}"
    if not math.isnan(winner.test_mean):
        text += f", test {score_text(metric, winner.test_mean, winner.test_std)}"
    return f"{text}, mean ± standard deviation over {plural(int(winner.n), 'fresh seed')}."


def comparison_sentence(row: pd.Series[Any]) -> str:
    """Return a row of `control_comparison.compare` as a sentence."""
    words = {"better": "Better than", "worse": "Worse than", "not distinguishable": "Not distinguishable from"}
    where = f"{difference_text(row.metric, row.difference)} on {row.on}"
    if math.isnan(row.low):
        sure = f"{plural(int(row.n), 'pair')}, no interval"
    else:
        p = f"95 % interval {interval_text(row.metric, row.low, row.high)}, p {p_text(row.p_finding)}"
        sure = p + (f", both by Holm over {row.num_finding} tests" if row.num_finding > 1 else "") + f", n = {row.n}"
    return f"{words[row.finding]} {title_of_control(row.control)}: {where} ({sure})."
