"""The optimism of a search: its best score, and the mean of the same configuration on fresh pairs of seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from absgd import records
from benchmarks.study.scenario_means import mean_words, scenario_count, scenario_mean, signed_points
from benchmarks.study.study_results import PartResult, StudyPart, confirmed_parts


def optimism_frame(parts: Sequence[StudyPart]) -> pd.DataFrame:
    """Return a row for each scenario whose configuration was confirmed.

    Returns:
        `title`; `score`: validation balanced accuracy of the configuration on the first pair of seeds, in percent;
        `fresh`: its mean on fresh pairs; `change`: from score to fresh, in points; `gain`: its mean gain over the plain
        run on the pairs of the search; `fresh_gain`: that on fresh pairs, on validation too, both in points (NaN: the
        plain run was not confirmed); `gain_change`: from one to the other.
    """
    columns = ["title", "score", "fresh", "change", "gain", "fresh_gain", "gain_change"]
    return pd.DataFrame([_row(part, result) for part, result in confirmed_parts(parts)], columns=columns)


def _row(part: StudyPart, one: PartResult) -> tuple[str, float, float, float, float, float, float]:
    known = one.runs.configurations
    searched = known[(known.trial_id == one.chosen_trial) & (known.phase == "search")].iloc[0]
    score, fresh = 100 * float(searched.val_mean), 100 * float(one.winner.val_mean)
    gain, fresh_gain = float(searched.gain_mean) / records.POINT, _fresh_gain(one)
    return part.long_label, score, fresh, fresh - score, gain, fresh_gain, fresh_gain - gain


def _fresh_gain(one: PartResult) -> float:
    plain = records.base_criteria(str(one.winner.loss))[-1]
    rows = one.on_validation[one.on_validation.control == plain]
    return math.nan if rows.empty else float(rows.difference.iloc[0]) / records.POINT


def optimism_sentence(frame: pd.DataFrame) -> str:
    """Return in one sentence how much a search flatters its best configuration."""
    if frame.empty:
        return "No configuration was confirmed yet."
    change, gain = scenario_mean(frame.change.tolist()), scenario_mean(frame.gain_change.tolist())
    text = f"From the search's score to the mean on fresh pairs its best configuration changes by {mean_words(change)}"
    if len(frame) > 1:
        text += (
            f" on average over {scenario_count(len(frame))}, between {signed_points(frame.change.min())} and "
            f"{signed_points(frame.change.max())}"
        )
    if math.isnan(gain.mean):
        return f"{text}."
    return f"{text}; the gain over plain training, by which the search chooses, changes by {mean_words(gain)}."
