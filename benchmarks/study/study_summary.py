"""The first paragraph of the study's page: what ABSGD does not win comes first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from absgd.records import VerdictOutcome
from analysis.wording.titles import title_of_control
from benchmarks.study.rival_sentences import rows_against
from benchmarks.study.scenario_means import lead_words, number_word, scenario_count, scenario_mean, words_in_list
from benchmarks.study.study_results import LONG_TAILED, NOISY, StudyPart, run_parts

WON: tuple[VerdictOutcome, ...] = ("best", "better")
CORRECTIONS = ("cb-ce-drw", "ce-posthoc", "ldam-drw", "balanced-softmax", "logit-adjustment")
"""Methods that correct for class counts."""


class PartVerdict(NamedTuple):
    """The verdict on one scenario of a search."""

    title: str
    """Data set, imbalance and noise, and what the attention weights are put over."""
    outcome: VerdictOutcome


def part_verdicts(parts: Sequence[StudyPart]) -> list[PartVerdict]:
    """Return the verdicts on the scenarios that were run."""
    return [PartVerdict(part.long_label, result.verdict.outcome) for part, result in run_parts(parts)]


def summary_text(verdicts: Sequence[PartVerdict], frame: pd.DataFrame, num_parts: int) -> str:
    """Return the first paragraph.

    Args:
        verdicts: from `part_verdicts`.
        frame: from `comparison_frame`.
        num_parts: scenarios of all searches, those that were not run too.
    """
    if not verdicts:
        return f"Nothing was run yet: the study has {num_parts} scenarios."
    sentences = [_not_won(verdicts), _won(verdicts), *_leads(frame)]
    if missing := num_parts - len(verdicts):
        sentences.append(f"{number_word(missing).capitalize()} of the {num_parts} scenarios {_were(missing)} not run.")
    return " ".join(sentence for sentence in sentences if sentence)


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _not_won(verdicts: Sequence[PartVerdict]) -> str:
    lost = [one for one in verdicts if one.outcome == "worse"]
    not_won = [one for one in verdicts if one.outcome not in WON]
    if not not_won:
        return f"ABSGD is better than plain training in {_all_of(len(verdicts))}."
    where = f"{number_word(len(not_won))} of {scenario_count(len(verdicts))}"
    first = _all_of(len(verdicts)) if len(not_won) == len(verdicts) else where
    text = f"In {first} ABSGD is not shown to be better than plain training at both lr and lr / abAlpha"
    if not lost:
        return f"{text}, though it is found worse than a rival in none."
    named = words_in_list([one.title for one in lost])
    return f"{text}, and in {number_word(len(lost))} of these it is found worse than a rival ({named})."


def _all_of(number: int) -> str:
    return "the one scenario that was run" if number == 1 else f"all {scenario_count(number)} that were run"


def _won(verdicts: Sequence[PartVerdict]) -> str:
    won = [one for one in verdicts if one.outcome in WON]
    if not won:
        return ""
    best = [one.title for one in won if one.outcome == "best"]
    named = words_in_list([one.title for one in won])
    return (
        f"It is better than plain training, also at lr / abAlpha, its effective learning rate, in "
        f"{number_word(len(won))} ({named}), and better than every tuned rival in {number_word(len(best))}"
        f"{f' ({words_in_list(best)})' if best else ''}."
    )


def _leads(frame: pd.DataFrame) -> list[str]:
    """Return where ABSGD stands on average, in a sentence on long-tailed data and one on wrong labels."""
    corrections = {title_of_control(f"{name}-tuned"): (f"{name}-tuned",) for name in CORRECTIONS}
    alone = {"plain cross entropy": ("ce",), "SCE or TCE alone": ("sce", "tce")}
    groups = (("On long-tailed data", LONG_TAILED, corrections), ("With wrong labels alone", NOISY, alone))
    sentences = []
    for where, kinds, rivals in groups:
        compared = {title: rows_against(frame, kinds, *names) for title, names in rivals.items()}
        means = {title: scenario_mean(rows.difference.tolist()) for title, rows in compared.items() if len(rows)}
        told = [lead_words(mean, title) for title, mean in sorted(means.items(), key=lambda item: item[1].mean)]
        sentences += [f"{where} it is on average {words_in_list(told)}."] if told else []
    return sentences
