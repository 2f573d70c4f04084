"""The trials of a search for two metrics, and those that no other one beats in both."""

from __future__ import annotations

from typing import Any

import pandas as pd

from absgd.records import METRIC_TITLES, TEST_SCALARS, SearchObjective, pareto_ranks
from analysis.frames.run_frames import RunFrames
from analysis.frames.selection import is_of_pareto_search, objective_of
from analysis.frames.typed_frames import SCENARIO
from analysis.questions.winners import controls_of, search_winners, trials_of
from analysis.wording.number_text import score_text
from analysis.wording.titles import title_of_control

_METRICS = ("metric", "first", "second_metric", "second", "pareto_rule")
_COLUMNS = (*SCENARIO, "trial_id", "is_control", *_METRICS, "on_front", "is_chosen")


def pareto_front(runs: RunFrames) -> pd.DataFrame:
    """Return the completed trials of every Pareto search and its plain controls, on the first pair of seeds.

    Returns:
        One row per trial: `folder`, `scenario`, `trial_id`, `is_control`, `metric`, `first` (its value at the last
        epoch, on validation), `second_metric`, `second`, `pareto_rule`, `on_front` (whether no trial of the search
        beats it in both metrics; False for controls) and `is_chosen` (by the rule, over all pairs of seeds of the
        search).
    """
    trials = runs.scored
    is_asked = is_of_pareto_search(trials)
    if not is_asked.any():
        return pd.DataFrame(columns=[*_COLUMNS])
    is_done = (trials.status == "completed") & trials.metric_last.notna() & trials.second_last.notna()
    is_run = trials.phase.isin(("search", "control")) & (trials.pair.fillna(0) == 0)
    rows = trials[is_asked & is_run & is_done]
    rows = rows.assign(is_control=rows.phase == "control", first=rows.metric_last, second=rows.second_last)
    parts = [_marked(own) for _, own in rows[~rows.is_control].groupby(SCENARIO, sort=False)]
    found = pd.concat([*parts, rows[rows.is_control].assign(on_front=False)])
    chosen = runs.cut(search_winners)
    keys = pd.MultiIndex.from_frame(found[[*SCENARIO, "trial_id"]])
    found = found.assign(is_chosen=keys.isin(pd.MultiIndex.from_frame(chosen[[*SCENARIO, "trial_id"]])))
    return found[[*_COLUMNS]].reset_index(drop=True)


def _marked(own: pd.DataFrame) -> pd.DataFrame:
    objective = objective_of(own.iloc[0])
    assert objective is not None, "the rows are of a Pareto search"
    points = [objective.signed(values) for values in zip(own["first"], own.second, strict=True)]
    return own.assign(on_front=[rank == 0 for rank in pareto_ranks([(one, other) for one, other in points])])


def objective_words(runs: RunFrames) -> str | None:
    """Return how a scenario's Pareto search chose, in words; None for a search for one metric."""
    rows = runs.trials[is_of_pareto_search(runs.trials)]
    objective: SearchObjective | None = objective_of(rows.iloc[0]) if len(rows) else None
    return objective.words if objective else None


def second_metric_sentences(runs: RunFrames, winner: pd.Series[Any]) -> tuple[str, ...]:
    """Return what the second metric of a Pareto search says of the winner and its plain control; none without one."""
    objective = objective_of(winner)
    if objective is None:
        return ()
    own = trials_of(runs, winner)
    second = objective.metrics[1]
    plain = controls_of(runs.configurations, winner)[:1]
    compared = [(str(winner.configuration), own)]
    compared += [(title_of_control(name), trials_of(runs, winner, name)) for name in plain]
    parts = [f"{name} {_mean_text(second, rows.second_last)}" for name, rows in compared]
    text = f"Second metric, validation {METRIC_TITLES[second]}: {', '.join(parts)}."
    test = second.replace("val_", "test_")
    if test in TEST_SCALARS and all(rows[test].notna().any() for _, rows in compared):
        text += f" On test: {', '.join(f'{name} {_mean_text(second, rows[test])}' for name, rows in compared)}."
    return (f"{text} The search chose by {objective.words}.",)


def _mean_text(metric: str, values: pd.Series[float]) -> str:
    known = values.dropna().astype("float64")
    return score_text(metric, float(known.mean()), float(known.std()))
