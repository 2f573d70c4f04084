"""Epochs that the study trained, by what for, and those that the plain way would have trained."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from benchmarks.study.scenario_means import scenario_count, words_in_list
from benchmarks.study.study_results import StudyPart, run_parts
from benchmarks.study.study_spaces import study_space

POSTHOC = "ce-posthoc-tuned"
"""Costs the plain way nothing: it is worked out from plain runs."""


def cost_frame(parts: Sequence[StudyPart]) -> pd.DataFrame:
    """Return a row for each scenario that was run.

    Returns:
        `search`, `dataset`, `title`; epochs trained: `first_pair` (trials and plain runs on the first pair of seeds),
        `further_pairs`, `tuned_controls`, `confirmation`, `trained` (all of them); `plain` (the plain way: the same
        trials, plain runs, runs on further pairs and configurations of controls, each from scratch to its last epoch,
        and every candidate on the most pairs that were allowed; post-hoc adjustment costs it nothing); `times_fewer`
        (`plain` over `trained`); `wall_s` (seconds of all runs together, each on one core).
    """
    columns = [
        *("search", "dataset", "title", "first_pair", "further_pairs", "tuned_controls", "confirmation"),
        *("trained", "plain", "times_fewer", "wall_s"),
    ]
    return pd.DataFrame([_row(part, result.runs.trials) for part, result in run_parts(parts)], columns=columns)


def _row(part: StudyPart, trials: pd.DataFrame) -> dict[str, object]:
    confirmed, tuned = trials.phase == "confirm", trials.phase == "tuning"
    searched = ~(confirmed | tuned)
    first = trials.pair.fillna(0) == 0
    trained = trials.epochs_trained.fillna(0)
    parts = {
        "first_pair": int(trained[searched & first].sum()),
        "further_pairs": int(trained[searched & ~first].sum()),
        "tuned_controls": int(trained[tuned].sum()),
        "confirmation": int(trained[confirmed].sum()),
    }
    total, plain = sum(parts.values()), plain_epochs(trials, max_pairs(part.search))
    return {
        "search": part.search,
        "dataset": part.dataset,
        "title": part.long_label,
        **parts,
        "trained": total,
        "plain": plain,
        "times_fewer": plain / total,
        "wall_s": float(trials.wall_s.fillna(0).sum()),
    }


def max_pairs(search: str) -> int:
    """Return the most fresh pairs that a search of the study may confirm on."""
    confirm = study_space(search).confirm
    assert confirm is not None, "every search of the study confirms"
    return confirm.max_pairs


def plain_epochs(trials: pd.DataFrame, pairs: int) -> int:
    """Return the epochs of the plain way, see `cost_frame`.

    Args:
        trials: of one scenario.
        pairs: most fresh pairs.
    """
    own = trials[trials.candidate.isna() | (trials.candidate != POSTHOC)]
    confirmed = own[own.phase == "confirm"].drop_duplicates("candidate")
    return int(own[own.phase != "confirm"].epochs.sum() + pairs * confirmed.epochs.sum())


def cost_sentence(frame: pd.DataFrame) -> str:
    """Return in one sentence what search, seeds and confirmation cost, and what the plain way would have cost."""
    if frame.empty:
        return "Nothing was run yet."
    total = int(frame.trained.sum())
    words = {
        "the first pair of seeds": "first_pair",
        "further pairs": "further_pairs",
        "tuned controls": "tuned_controls",
        "the confirmation": "confirmation",
    }
    shares = [f"{100 * frame[name].sum() / total:.0f} % for {title}" for title, name in words.items()]
    times = f"{frame.plain.sum() / total:.1f} times as many"
    if len(frame) > 1:
        times += f" ({frame.times_fewer.min():.1f} to {frame.times_fewer.max():.1f} in single scenarios)"
    trained = f"{scenario_count(len(frame)).capitalize()} took {total:,} epochs ({words_in_list(shares)})"
    return (
        f"{trained}, where the plain way would have trained {int(frame.plain.sum()):,}: {times}. These are counts, "
        "without an interval."
    )
