"""The claim that the results of a scenario support: one sentence, and the numbers behind it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pandas as pd

from absgd.comparisons import Finding
from absgd.counts import plural
from absgd.records import METRIC_TITLES, Verdict, VerdictOutcome
from analysis.frames.run_frames import Row, RunFrames, ScenarioParts, rows_of_frame
from analysis.questions.best_configurations import setting_columns
from analysis.questions.deciding_controls import base_criteria, deciding_controls, has_raised_lr
from analysis.questions.pareto_front import second_metric_sentences
from analysis.questions.tuned_controls import take_home, tuned_candidates, tuned_controls
from analysis.questions.verdict_sentences import (
    ahead_sentence,
    comparison_sentence,
    confirmed_advice,
    criterion_sentence,
    instead_advice,
    listed,
    margin_text,
    need_sentence,
    not_worse_sentence,
    score_sentence,
    subject_of,
    tried_sentences,
    tuned_sentence,
)
from analysis.questions.winners import confirmed_configurations, trials_of, winner_of
from analysis.wording.number_text import difference_text, score_text
from analysis.wording.titles import title_of_control

_LEAST_LEAD = 5e-5
"""Difference below which nothing is ahead: it is shown as 0.00 points."""
_CONFIRM_FIRST = "Confirm it before using it."


def verdicts(runs: RunFrames, comparisons: pd.DataFrame) -> list[Verdict]:
    """Return one verdict per scenario of each folder, in order.

    Args:
        runs: the runs.
        comparisons: their comparison with all controls, from `control_comparison.compare`; empty if there are none.
    """
    found, compared = [], ScenarioParts(comparisons)
    for one in runs.scenarios():
        folder, scenario = one.key
        winner = winner_of(one)
        if winner is None:
            text = "No trial of the search has finished, so there is nothing to choose."
            found.append(Verdict(folder, scenario, "nothing finished", text, ""))
            continue
        own = compared.of(folder, scenario)
        if winner.basis != "confirmed":
            statement = _lost_confirmation(one) or _one_seed(one, winner, own)
        else:
            statement = _unfinished(one, winner) or _confirmed(one, winner, own)
        statement = statement._replace(details=(*statement.details, *second_metric_sentences(one, winner)))
        name, settings = str(winner.configuration), _settings(one, winner)
        found.append(Verdict(folder, scenario, *statement, configuration=name, settings=settings))
    return found


def _settings(runs: RunFrames, winner: pd.Series[Any]) -> dict[str, Any]:
    """Return the winner's settings as plain values."""
    values: dict[str, Any] = {name: winner.get(name) for name in setting_columns(runs)}
    lists = {name: list(value) for name, value in values.items() if pd.api.types.is_list_like(value)}
    known = {name: value for name, value in values.items() if name not in lists and not pd.isna(value)}
    return {**{name: value.item() if hasattr(value, "item") else value for name, value in known.items()}, **lists}


class _Statement(NamedTuple):
    """A verdict without its scenario."""

    outcome: VerdictOutcome
    sentence: str
    advice: str
    details: tuple[str, ...]


def _confirmed(runs: RunFrames, winner: pd.Series[Any], comparisons: pd.DataFrame) -> _Statement:
    compared = [row for row in rows_of_frame(comparisons) if row.n > 0]
    findings: dict[str, Finding] = {row.control: row.finding for row in compared}
    deciding = deciding_controls(winner)
    is_ours = any(one.name == winner.folder and one.kind == "absgd" for one in runs.folders)
    worse = [name for name, finding in findings.items() if finding == "worse"]
    leading = [row for row in compared if row.difference < -_LEAST_LEAD]
    ahead = sorted((row for row in leading if row.finding == "undecided"), key=lambda row: row.difference)
    lead = ahead_sentence(ahead)
    searched = runs.cut(tuned_controls)
    tuned = tuned_candidates(runs, searched)
    shown = [row for row in compared if row.decides or row in leading or row.control in tuned]
    home = take_home(runs, winner, findings) if tuned else str(winner.configuration)
    instead = "" if home == winner.configuration else instead_advice(home, str(winner.scenario))
    details = (score_sentence(winner), *map(comparison_sentence, shown), *tried_sentences(searched))
    subject = subject_of(winner)
    if worse:
        rest = not_worse_sentence({name: findings[name] for name in deciding if name in findings and name not in worse})
        use = "" if instead else f": use {'that' if len(worse) == 1 else 'one of those'} instead"
        sentence = f"{subject} is worse than {listed(worse)}{use}."
        return _Statement("worse", f"{sentence}{rest}{lead}", instead, details)
    if not set(deciding) & set(findings):
        sentence = f"No plain control was confirmed, so no gain can be claimed.{lead}"
        return _Statement("no control", sentence, instead or "Confirm one before using it.", details)
    sentence = " ".join(
        criterion_sentence(subject if place == 0 else "It", criterion, findings, has_raised_lr(winner))
        for place, criterion in enumerate(base_criteria(winner))
    )
    outcome = _outcome([findings.get(name) for name in deciding])
    if "equivalent" in {findings.get(name) for name in deciding}:
        sentence += f" Equivalent: within {margin_text(str(winner.metric), compared[0].margin)}."
    undecided = [row for row in compared if row.decides and row.finding == "undecided"]
    need = need_sentence(
        undecided, int(winner.num_seeds), str(winner.folder) if is_ours else None, winner.get("plugins")
    )
    advice = instead or confirmed_advice(outcome, [row.control for row in ahead], need)
    if outcome == "better" and tuned and all(findings.get(name) == "better" for name in tuned):
        outcome = "best"
    return _Statement(outcome, f"{sentence}{tuned_sentence(tuned, findings)}{lead}", advice, details)


def _lost_confirmation(runs: RunFrames) -> _Statement | None:
    """Return the statement on configurations that ended on all fresh seeds and completed on none; else None."""
    able = _confirmed_candidates(runs)
    ended = sum(row.num_ended for row in able)
    if not ended or ended < sum(row.num_seeds for row in able):
        return None
    sentence = (
        f"On fresh seeds none of {plural(ended, 'run')} of the best configurations was completed, so the choice of the "
        "search is not confirmed."
    )
    advice = "Do not use it before the errors of these runs are understood."
    return _Statement("confirmation failed", sentence, advice, ())


def _confirmed_candidates(runs: RunFrames) -> list[Row]:
    return [row for row in runs.rows(confirmed_configurations) if not row.is_control]


def _unfinished(runs: RunFrames, winner: pd.Series[Any]) -> _Statement | None:
    """Return the statement made while configurations that may win are still trained; None once they have ended."""
    missing = sum(row.num_seeds - row.num_ended for row in _confirmed_candidates(runs))
    if not missing:
        return None
    lacking = f"{plural(missing, 'run')} of the best configurations {'is' if missing == 1 else 'are'} missing"
    sentence = f"The confirmation has not ended: {lacking}."
    details = (score_sentence(winner),)
    advice = "Let it end before using any: --resume continues it."
    return _Statement("unfinished", f"{sentence} So far {subject_of(winner)} leads.", advice, details)


def _outcome(findings: list[Finding | None]) -> VerdictOutcome:
    if "undecided" in findings:
        return "undecided"
    if None in findings:
        return "control missing"
    return "equivalent" if "equivalent" in findings else "better"


def _one_seed(runs: RunFrames, winner: pd.Series[Any], comparisons: pd.DataFrame) -> _Statement:
    metric = str(winner.metric)
    title = METRIC_TITLES.get(metric, metric)
    on = "one seed" if winner.num_pairs == 1 else "on the first pair of seeds"
    details = [f"{winner.configuration}: validation {title} {score_text(metric, winner.val_mean)}, {on}."]
    comparisons = comparisons[comparisons.n > 0]
    if comparisons.empty:
        text = "One seed and no control: no gain can be claimed."
        return _Statement("no control", text, _CONFIRM_FIRST, tuple(details))
    row = comparisons.iloc[0]
    where, gain, control = "On one seed", row.difference, title_of_control(row.control)
    if winner.num_pairs > 1 and winner.gain_n:
        pairs = plural(int(winner.gain_n), "pair")
        both = ", in the mean of both metrics," if winner.pareto_rule == "mean" else ""
        where, gain, control = f"Over {pairs} of seeds of the search{both}", winner.gain_mean, "the plain control"
    gap = difference_text(metric, abs(gain)).replace("+", "")
    place = "ahead of" if gain > 0 else "behind" if gain < 0 else "level with"
    by = f"{gap} " if gain else ""
    sentence = (
        f"{where} the best trial is {by}{place} {control} on validation: "
        "not a finding until it is confirmed on fresh seeds."
    )
    images = _validation_images(runs, winner)
    if images and metric.endswith("accuracy"):
        error = math.sqrt(max(row.control_mean * (1 - row.control_mean), 0.0) / images)
        details.append(
            f"With {images:,} validation images one such score has a standard error of about {100 * error:.1f} points, "
            "and the best of many trials is lucky."
        )
    return _Statement("one seed", sentence, _CONFIRM_FIRST, tuple(details))


def _validation_images(runs: RunFrames, winner: pd.Series[Any]) -> int | None:
    """Return the number of images behind the winner's validation scores; None if the records do not say."""
    own = trials_of(runs, winner)
    if own.empty:
        return None
    first = own.iloc[0]
    if first.validation != "cut" or pd.isna(first.val_per_class) or not isinstance(first.class_counts, list):
        return None
    return int(first.val_per_class) * len(first.class_counts)
