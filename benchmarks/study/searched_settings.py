"""Importance of the settings, those that the searches chose, and the authors' setting where it was tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from absgd import records
from analysis.wording.number_text import setting_text
from analysis.wording.titles import title_of_parameter
from benchmarks.study.scenario_means import (
    ScenarioMean,
    mean_words,
    number_word,
    scenario_count,
    scenario_mean,
    words_in_list,
)
from benchmarks.study.study_results import NOISY, StudyPart, confirmed_parts, run_parts

METHOD_SETTINGS = ("lam", "gamma", "ab_alpha", "switch_epoch")
_AUTHORS_TRIAL = 0
"""Number of the trial that tries the authors' setting, where a space gives it."""


def importance_frame(parts: Sequence[StudyPart]) -> pd.DataFrame:
    """Return the importance of each searched setting in each scenario, by PED-ANOVA (docs/analysis.md).

    Returns:
        `kind`, `title`, `parameter` (a column of trials, or `sign of lam`), `importance` (sums to 1 in a scenario).
    """
    rows = []
    for part, result in run_parts(parts):
        for _, row in result.runs.importance().dropna(subset=["parameter"]).iterrows():
            name = "lam" if row.parameter == "|lam|" else row.parameter
            rows.append((part.kind, part.long_label, name, float(row.importance)))
    return pd.DataFrame(rows, columns=["kind", "title", "parameter", "importance"])


def importance_means(frame: pd.DataFrame) -> list[tuple[str, ScenarioMean]]:
    """Return the mean importance of each setting over the scenarios that searched it, the largest first."""
    means = {str(name): scenario_mean(own.tolist()) for name, own in frame.groupby("parameter", sort=True).importance}
    return sorted(means.items(), key=lambda item: -item[1].mean)


def importance_sentence(frame: pd.DataFrame) -> str:
    """Return in one sentence which of lambda, gamma, abAlpha and the switch epoch matter."""
    own = importance_means(frame[frame.parameter.isin(METHOD_SETTINGS)])
    if not own:
        return "No search has enough trials yet to say which settings matter."
    told = [f"{title_of_parameter(name)} {_share(mean)}" for name, mean in own]
    equal = 1 / frame.groupby(["kind", "title"]).parameter.nunique().mean()
    above = [title_of_parameter(name) for name, mean in own if mean.low > equal]
    which = f"only {words_in_list(above)} reliably" if above else "none of them reliably"
    return (
        f"Of the settings of the method, the mean importances over the scenarios are {words_in_list(told)}; "
        f"{which} above {equal:.2f}, which each would have if all settings mattered equally."
    )


def _share(mean: ScenarioMean) -> str:
    bounds = "" if math.isnan(mean.low) else f" ({max(mean.low, 0):.2f} to {min(mean.high, 1):.2f})"
    return f"{mean.mean:.2f}{bounds}"


def chosen_frame(parts: Sequence[StudyPart]) -> pd.DataFrame:
    """Return the settings of the method in each configuration that was chosen: `kind`, and `METHOD_SETTINGS`."""
    confirmed = confirmed_parts(parts)
    rows = [(part.kind, *(one.winner.get(name) for name in METHOD_SETTINGS)) for part, one in confirmed]
    return pd.DataFrame(rows, columns=["kind", *METHOD_SETTINGS])


def chosen_sentence(frame: pd.DataFrame) -> str:
    """Return in one sentence how far the chosen configurations are apart, on long-tailed data and with wrong labels."""
    is_noisy = frame.kind.isin(NOISY)
    groups = (("on long-tailed data", frame[~is_noisy]), ("with wrong labels alone", frame[is_noisy]))
    told = [f"{title} {_ranges(own)}" for title, own in groups if len(own)]
    if not told:
        return "No configuration was chosen yet."
    return f"The configurations that were chosen have {'; '.join(told)}."


def _ranges(frame: pd.DataFrame) -> str:
    told = []
    for name in METHOD_SETTINGS:
        low, high = (setting_text(float(value)) for value in (frame[name].min(), frame[name].max()))
        told.append(f"{title_of_parameter(name)} {low}" + (f" to {high}" if low != high else ""))
    return words_in_list(told).replace("-", "−")


def authors_frame(parts: Sequence[StudyPart]) -> pd.DataFrame:
    """Return how the authors' setting did in each scenario that tried it, on the first pair of seeds.

    Returns:
        `title`, `status` of the trial, `gain` over the plain run with the same stage one and `best_gain`, that of the
        chosen configuration, both in points of validation balanced accuracy after the last epoch (NaN: stopped early).
    """
    rows = []
    for part, one in confirmed_parts(parts):
        trials = one.runs.trials
        if not one.runs.space_of(str(trials.folder.iloc[0])).get("enqueue"):
            continue
        plain = trials[(trials.phase == "control") & (trials.pair.fillna(0) == 0)]
        plain_scores = plain.set_index("stage_one_key").metric_last
        searched = trials[trials.phase == "search"]
        first = searched[searched.number == _AUTHORS_TRIAL].iloc[0]
        best = searched[searched.trial_id == one.chosen_trial].iloc[0]
        gain = _gain(first, plain_scores) if first.status == "completed" else math.nan
        rows.append((part.long_label, str(first.status), gain, _gain(best, plain_scores)))
    return pd.DataFrame(rows, columns=["title", "status", "gain", "best_gain"])


def _gain(trial: pd.Series[Any], plain_scores: pd.Series[Any]) -> float:
    plain = plain_scores.get(trial.stage_one_key, math.nan)
    return (float(trial.metric_last) - float(plain)) / records.POINT


def authors_sentence(frame: pd.DataFrame) -> str:
    """Return in one sentence whether the authors' setting is good everywhere."""
    if frame.empty:
        return "The authors' setting has not been tried yet."
    done = frame.dropna(subset="gain")
    stopped = len(frame) - len(done)
    tried = f"The authors' setting, the first point in {scenario_count(len(frame))}, was stopped early in"
    if done.empty:
        return f"{tried} every one: it is not good everywhere."
    own, best = scenario_mean(done.gain.tolist()), scenario_mean(done.best_gain.tolist())
    is_good = not stopped and own.low > 0 and bool((done.gain > 0).all())
    return (
        f"{tried} {number_word(stopped)}; {'in the others ' if stopped else ''}its lead over plain training is "
        f"{mean_words(own)} on validation, that of the chosen configurations {mean_words(best)}: it is "
        f"{'a good first point' if is_good else 'not good'} everywhere."
    )


def own_choice_gains(parts: Sequence[StudyPart]) -> list[float]:
    """Return what SCE or TCE alone would gain by the learning rate and weight decay that suit them best.

    Returns:
        For each scenario with wrong labels alone: points of validation balanced accuracy on the first pair of seeds by
        which the best plain run is above the plain run with the settings of the chosen configuration.
    """
    found = []
    for _, one in confirmed_parts([part for part in parts if part.kind in NOISY]):
        trials = one.runs.trials[one.runs.trials.pair.fillna(0) == 0]
        chosen = trials[trials.trial_id == one.chosen_trial].iloc[0]
        plain = trials[(trials.phase == "control") & (trials.loss == records.base_criteria(str(chosen.loss))[-1])]
        scores = plain.set_index("stage_one_key").metric_last
        found.append((float(scores.max()) - float(scores[chosen.stage_one_key])) / records.POINT)
    return found


def own_choice_sentence(gains: Sequence[float]) -> str:
    """Return in one sentence what SCE and TCE alone miss because they have the settings of the configuration."""
    if not gains:
        return ""
    return (
        "With the learning rate and weight decay that suit them best among the plain runs of each search, they would "
        f"have gained {mean_words(scenario_mean(gains))} on validation, on the first pair of seeds, over "
        f"{scenario_count(len(gains))}."
    )


def rate_frame(parts: Sequence[StudyPart]) -> pd.DataFrame:
    """Return what each learning rate and weight decay is worth on the first pair of seeds, on validation.

    Returns:
        `dataset`, `title`, `lr`, `weight_decay`, `plain` (plain run) and `best` (best completed trial with the same
        stage one; NaN: none), both balanced accuracies in percent.
    """
    rows = []
    for part, result in run_parts(parts):
        every = result.runs.trials
        trials = every[(every.pair.fillna(0) == 0) & (every.status == "completed")]
        searched = trials[trials.phase == "search"]
        used = set(every[every.phase == "search"].stage_one_key)
        for _, row in trials[(trials.phase == "control") & trials.stage_one_key.isin(used)].iterrows():
            best = searched[searched.stage_one_key == row.stage_one_key].metric_last.max()
            about = (part.dataset, part.long_label, float(row.lr), float(row.weight_decay))
            rows.append((*about, 100 * float(row.metric_last), 100 * float(best)))
    return pd.DataFrame(rows, columns=["dataset", "title", "lr", "weight_decay", "plain", "best"])
