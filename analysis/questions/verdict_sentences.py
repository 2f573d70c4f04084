"""The sentences of a verdict."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from absgd.comparisons import Finding
from absgd.counts import joined, plural
from absgd.records import METRIC_TITLES, VerdictOutcome, further_option
from analysis.frames.run_frames import Row
from analysis.wording.number_text import difference_text, interval_text, p_text, score_text, setting_text
from analysis.wording.plugin_options import plugin_options
from analysis.wording.titles import title_of_control


def subject_of(winner: pd.Series[Any]) -> str:
    """Return the configuration as the subject of a sentence, for readers who have not seen it before."""
    lam = winner.get("lam")
    if pd.isna(lam):
        return str(winner.configuration)
    return f"ABSGD with lambda {setting_text(float(lam))} ({winner.configuration})"


def listed(names: list[str]) -> str:
    """Return the titles of controls as a list in words."""
    return joined([title_of_control(name) for name in names])


def margin_text(metric: str, margin: float) -> str:
    """Return the margin of equivalence in words."""
    return difference_text(metric, margin).removeprefix("+")


def not_worse_sentence(findings: Mapping[str, Finding]) -> str:
    """Compare the winner with controls that it is not worse than; begins with a space, empty if there are none."""
    parts = []
    for finding, words in _WORDS.items():
        names = [name for name, own in findings.items() if own == finding]
        parts += [f"{words} {listed(names)}"] if names else []
    return f" It is {' and '.join(parts)}." if parts else ""


_WORDS: dict[Finding, str] = {
    "better": "better than",
    "equivalent": "equivalent to",
    "undecided": "not yet distinguishable from",
}


MOST_AHEAD = 3
"""Number of controls that a sentence names as ahead."""


def ahead_sentence(rows: Sequence[Row]) -> str:
    """Name controls that are ahead of the winner by points alone; begins with a space, empty if there are none.

    Args:
        rows: their rows of `control_comparison.compare`, the furthest ahead first.
    """
    if not rows:
        return ""
    shown = [
        f"{title_of_control(row.control)} by {difference_text(row.metric, -row.difference).removeprefix('+')}"
        for row in rows[:MOST_AHEAD]
    ]
    shown += [f"{len(rows) - MOST_AHEAD} more"] if len(rows) > MOST_AHEAD else []
    names = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return f" Ahead of {rows[0].configuration} on {rows[0].on}, but not yet distinguishable from it: {names}."


def confirmed_advice(outcome: VerdictOutcome, ahead: Sequence[str], need: str) -> str:
    """Return whether to use a confirmed configuration that is worse than no control.

    Args:
        outcome: of its verdict.
        ahead: controls ahead of it by points alone, the furthest first.
        need: from `need_sentence`.
    """
    if outcome == "better":
        first = f", or {title_of_control(ahead[0])}: more pairs of seeds would tell which" if ahead else ""
        return f"Use it{first}."
    if outcome == "control missing":
        return "Train the missing control before using it."
    plainest = "the simplest of those ahead" if ahead else "plain training, which is simpler"
    if outcome == "equivalent":
        return f"No reason to use it: take {plainest}."
    return f"No reason to use it on this evidence: take {plainest}, or confirm it on more pairs of seeds.{need}"


def tuned_sentence(tuned: Sequence[str], findings: Mapping[str, Finding]) -> str:
    """Compare the winner with the tuned controls; begins with a space, empty if there are none."""
    if not tuned:
        return ""
    if all(findings.get(name) == "better" for name in tuned):
        return " It is better than every tuned control."
    own = [name for name in tuned if name != "ce"]  # of which another sentence speaks
    missing = [name for name in own if name not in findings]
    rest = f" It was not compared with {listed(missing)}." if missing else ""
    compared = not_worse_sentence({name: findings[name] for name in own if name in findings})
    return compared.replace(" It is", " Among the tuned controls it is", 1) + rest


def tried_sentences(tuned: pd.DataFrame) -> list[str]:
    """Return a sentence on how many configurations of each tuned control were tried; none where none was tuned.

    Args:
        tuned: from `tuned_controls`.
    """
    if tuned.empty:
        return []
    parts = [f"{title_of_control(row.control)} {int(row.num_tried)}" for _, row in tuned.iterrows()]
    return [f"Configurations tried on the first pair of seeds: {', '.join(parts)}."]


def instead_advice(name: str, scenario: str) -> str:
    """Return the advice to use a tuned control."""
    return f"Use {title_of_control(name)} instead: best/{scenario}.yaml has its settings."


def need_sentence(rows: Sequence[Row], num_pairs: int, folder: str | None, plugins: Any = None) -> str:
    """Return what it would take to decide undecided comparisons; begins with a space, empty if nothing is known.

    Args:
        rows: their rows of `control_comparison.compare`.
        num_pairs: pairs of seeds on which the configuration was confirmed.
        folder: run folder of the search; None: not a folder that `absgd-tune` continues.
        plugins: of the configuration; value of the column `plugins`.
    """
    several = [row for row in rows if row.n > 1]
    if not several:
        return ""
    known = [row for row in several if not math.isnan(row.pairs_needed)]
    if not known:
        return " A thousand pairs would not be enough at the present difference and spread."
    row = max(known, key=lambda one: one.pairs_needed)
    more = int(row.pairs_needed)
    text = f" About {plural(more, 'more pair')} would decide it with 80 % power"
    if folder is None:
        return f"{text}."
    command = shlex.join(["absgd-tune", "--confirm", folder, *plugin_options(plugins)])
    return f"{text}: {command} {further_option(row.left, num_pairs + more)}"


def criterion_sentence(subject: str, criterion: str, findings: Mapping[str, Finding], raised: bool) -> str:
    """Compare the winner with plain training on a criterion, at lr and, if that differs, at lr / ab_alpha."""
    at_lr, at_raised = findings.get(criterion), findings.get(f"{criterion}-lr")
    title, title_raised = title_of_control(criterion), title_of_control(f"{criterion}-lr")
    if at_lr is None and (at_raised is None or not raised):
        return f"{subject} was not compared with {title}."
    if not raised and at_lr is not None:
        return f"{subject} is {_WORDS[at_lr]} {title}."
    if at_lr is None and at_raised is not None:
        missing = "; it was not compared with it at lr" if at_raised == "better" else ""
        return f"{subject} is {_WORDS[at_raised]} {title_raised}{missing}."
    assert at_lr is not None  # told apart above
    return f"{subject} is {_at_both_rates(at_lr, at_raised, title, title_raised)}."


def _at_both_rates(at_lr: Finding, at_raised: Finding | None, title: str, title_raised: str) -> str:
    first = f"{_WORDS[at_lr]} {title}"
    if at_raised is None:
        missing = "; whether the learning rate alone explains the gain was not tested" if at_lr == "better" else ""
        return f"{first}{missing}"
    if at_lr == at_raised:
        same = ", also at the same effective learning rate (lr / ab_alpha)"
        return f"{first}{same if at_lr == 'better' else ' at either learning rate'}"
    if at_lr != "better" and at_raised == "better":
        return f"{_WORDS[at_raised]} {title_raised}, but {_WORDS[at_lr]} it at lr"
    if at_lr != "better":
        return f"{first} and {_WORDS[at_raised]} {title_raised}"
    is_same = at_raised == "equivalent"
    why = "the larger learning rate alone explains it" if is_same else "the gain may be the larger learning rate alone"
    return f"{first}, but {_WORDS[at_raised]} {title_raised}: {why}"


def score_sentence(winner: pd.Series[Any]) -> str:
    """Return the winner's scores over fresh seeds as a sentence."""
    metric, title = str(winner.metric), METRIC_TITLES.get(str(winner.metric), str(winner.metric))
    validation = score_text(metric, winner.val_mean, winner.val_std)
    text = f"{winner.configuration}: validation {title} {validation}"
    if not math.isnan(winner.test_mean):
        text += f", test {score_text(metric, winner.test_mean, winner.test_std)}"
    return f"{text}, mean ± standard deviation over {plural(int(winner.n), 'fresh seed')}."


def comparison_sentence(row: Row) -> str:
    """Return a row of `control_comparison.compare` as a sentence."""
    words: dict[Finding, str] = {
        "better": "Better than",
        "worse": "Worse than",
        "equivalent": f"Equivalent within {margin_text(row.metric, row.margin)} to",
        "undecided": "Undecided against",
    }
    where = f"{difference_text(row.metric, row.difference)} on {row.on}"
    return f"{words[row.finding]} {title_of_control(row.control)}: {where} ({_certainty(row)})."


def _certainty(row: Row) -> str:
    """Return how sure a difference is, what would decide it, and what was left out."""
    if row.n == 1:
        parts = ["one pair: no claim"]
    elif math.isnan(row.low) or math.isinf(row.low):
        parts = [f"{plural(int(row.n), 'pair')}, too few for an interval"]
    else:
        parts = [f"95 % interval {interval_text(row.metric, row.low, row.high)}", f"p {p_text(row.p_value)}"]
        parts += [f"n = {row.n}"]
    if row.finding == "undecided" and not math.isnan(row.pairs_needed):
        parts += [f"about {plural(int(row.pairs_needed), 'more pair')} for 80 % power"]
    if row.left == "cannot win":
        parts += ["no longer trained: too far behind to win"]
    if row.left == "diverged":
        parts += ["the configuration diverged on a fresh pair, so it is not called better"]
    if row.num_unpaired:
        parts += [f"{plural(int(row.num_unpaired), 'run')} without a partner left out"]
    return ", ".join(parts)
