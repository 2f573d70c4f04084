"""Sentences on ABSGD against one rival over the scenarios of the study, from the frame of `comparison_frame`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from absgd.comparisons import Finding
from analysis.wording.number_text import setting_text
from benchmarks.study.scenario_means import mean_words, number_word, points_words, scenario_mean, words_in_list


def rows_against(frame: pd.DataFrame, kinds: Sequence[str], *controls: str) -> pd.DataFrame:
    """Return the comparisons with the first of some controls that each scenario was compared with.

    Args:
        frame: from `comparison_frame`.
        kinds: kinds of searches.
        controls: names of controls; a later one stands for an earlier one that it is equal to.
    """
    own = frame[frame.kind.isin(kinds) & frame.control.isin(controls)]
    place = {name: number for number, name in enumerate(controls)}
    order = own.sort_values("control", key=lambda names: names.map(place), kind="stable")
    return order.drop_duplicates(["search", "title"]).sort_index()


def rival_sentence(subject: str, rival: str, rows: pd.DataFrame, with_settings: bool = False) -> str:
    """Return what was found in one sentence: the findings with their intervals, and the mean lead over scenarios.

    Args:
        subject: of the sentence, such as `ABSGD`.
        rival: title of the rival.
        rows: comparisons with it, one per scenario.
        with_settings: whether learning rate and weight decay stand beside each finding.
    """
    if rows.empty:
        return f"{subject} has not been compared with {rival} yet."
    if len(rows) == 1:
        return _of_one(subject, rival, next(rows.itertuples()))
    told = [_found("better", f"better than {rival}", rows, with_settings)]
    told += [_found("worse", "worse", rows, with_settings), _found("equivalent", "equivalent", rows, with_settings)]
    text = f"{subject} was found {words_in_list([one for one in told if one])}"
    if undecided := int((rows.finding == "undecided").sum()):
        text += f"; {'all' if undecided == len(rows) else number_word(undecided)} {_are(undecided)} undecided"
    return f"{text}. The mean lead is {mean_words(scenario_mean(rows.difference.astype(float).tolist()))}."


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _of_one(subject: str, rival: str, row: Any) -> str:
    lead = f"a lead of {points_words(row.difference, row.low, row.high)} in {row.title}, the only scenario compared"
    if row.finding == "undecided":
        return f"Between {subject} and {rival} nothing is decided, with {lead}."
    words = {"better": "better than", "worse": "worse than", "equivalent": "equivalent to"}
    return f"{subject} was found {words[row.finding]} {rival}, with {lead}."


def _found(finding: Finding, words: str, rows: pd.DataFrame, with_settings: bool) -> str:
    """Return in how many scenarios something was found, and where; empty where it was not, unless that is a win."""
    own = rows[rows.finding == finding]
    if own.empty:
        return f"{words} in none of {number_word(len(rows))} scenarios" if finding == "better" else ""
    total = f" of {number_word(len(rows))} scenarios" if finding == "better" else ""
    places = "; ".join(_place(row, with_settings) for row in own.itertuples())
    return f"{words} in {number_word(len(own))}{total} ({places})"


def _place(row: Any, with_settings: bool) -> str:
    text = f"{row.title}: {points_words(row.difference, row.low, row.high)}"
    return f"{text}, {settings_words(row)}" if with_settings else text


def settings_words(row: Any) -> str:
    """Return learning rate and weight decay of a row in words."""
    lr, decay = float(row.lr), float(row.weight_decay)
    shown = [f"learning rate {setting_text(lr)}"] if not math.isnan(lr) else []
    shown += [f"weight decay {setting_text(decay)}"] if not math.isnan(decay) else []
    return " and ".join(shown)
