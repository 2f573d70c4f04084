"""A search for two metrics, from its YAML to the best file, on the tabular fake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState

from absgd import records
from absgd.config import RunConfig
from analysis import load
from analysis.report.html_report import report_html
from tests.support.fake_tuner import FakeTuner, make_space

SCENARIO = "digits-exp-0.1"
METRICS = ["val_accuracy", "val_worst_recall"]


def pareto_space(**changes: Any) -> Any:
    return make_space(
        **{
            "metric": METRICS,
            "scenarios": [{"imbalance": {"type": "exp", "ratio": 0.1}}],
            "num_trials": 16,
            **changes,
        }
    )


def accuracy(config: RunConfig, epoch: int) -> float:
    """Rise with gamma, which the worst recall falls with; ab_alpha is good for both."""
    if config.attention is None:
        return 0.3
    return (0.5 * config.attention.gamma + 0.3 * config.attention.ab_alpha) * (epoch + 1) / 10


def worst(config: RunConfig, epoch: int) -> float:
    if config.attention is None:
        return 0.2
    return (0.4 * (1 - config.attention.gamma) + 0.3 * config.attention.ab_alpha) * (epoch + 1) / 10


def searched(folder: Path, **changes: Any) -> FakeTuner:
    tuner = FakeTuner(pareto_space(**changes), folder, accuracy, second=worst, test_score=lambda _: 0.5)
    tuner.run()
    return tuner


def study_of(tuner: FakeTuner) -> Any:
    return tuner.searcher.searches[SCENARIO].study.study


def test_study_of_two_metrics_has_both_values_of_completed_trials_alone(tmp_path: Path) -> None:
    tuner = searched(tmp_path / "run")
    study = study_of(tuner)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MAXIMIZE"]
    states = {trial.number: trial.state for trial in study.trials}
    assert set(states.values()) == {TrialState.COMPLETE, TrialState.PRUNED}
    rows = pd.read_parquet(tmp_path / "run" / "trials.parquet").query("phase == 'search'").set_index("number")
    assert set(rows.second_metric) == {"val_worst_recall"}
    for trial in study.trials:
        if trial.state == TrialState.COMPLETE:
            assert list(trial.values) == [rows.metric_last[trial.number], rows.second_last[trial.number]]
        else:
            assert trial.values is None  # noqa: PD011
            assert rows.status[trial.number] == "pruned"


@pytest.mark.parametrize("rule", ["mean", "first"])
def test_chosen_trial_is_the_best_by_the_rule_and_on_the_front(tmp_path: Path, rule: str) -> None:
    tuner = searched(tmp_path / "run", pareto_rule=rule)
    done = [one for one in tuner.recorder.trials_of(SCENARIO) if (one.phase, one.status) == ("search", "completed")]
    chosen = tuner.recorder.best(SCENARIO)
    assert chosen is not None

    def score(values: tuple[float, ...]) -> float:
        return sum(values) / 2 if rule == "mean" else values[0]

    assert score(chosen.summary.last_values) == max(score(one.summary.last_values) for one in done)
    for other in done:
        first, second = other.summary.last_values
        own_first, own_second = chosen.summary.last_values
        assert not (first > own_first and second > own_second)
    best = records.best_file(tmp_path / "run", SCENARIO).read_text()
    assert f"val_accuracy {chosen.summary.metric_last!r} and val_worst_recall {chosen.summary.second_last!r}" in best
    assert RunConfig.from_dict(yaml.safe_load(best)) == chosen.config


@pytest.mark.parametrize("results", [3, 40, 70])
def test_resumed_search_for_two_metrics_equals_an_uninterrupted_one(tmp_path: Path, results: int) -> None:
    space = pareto_space(seeds={"pairs": 3})

    def tuner_in(folder: Path) -> FakeTuner:
        return FakeTuner(space, folder, accuracy, concurrent=1, second=worst)

    whole = tuner_in(tmp_path / "whole")
    whole.run()
    tuner_in(tmp_path / "cut").run(stop_after_results=results)
    resumed = tuner_in(tmp_path / "cut")
    resumed.run()
    told = [[(one.params, one.values, one.state) for one in study_of(tuner).trials] for tuner in (whole, resumed)]  # noqa: PD011
    assert told[0] == told[1]
    assert [one.trial_id for one in whole.recorder.ranked(SCENARIO)] == [
        one.trial_id for one in resumed.recorder.ranked(SCENARIO)
    ]


def test_gain_over_pairs_is_that_of_the_mean_of_both_metrics(tmp_path: Path) -> None:
    tuner = searched(tmp_path / "run", seeds={"pairs": 2})
    best = tuner.recorder.scores(SCENARIO)[0]
    first, second = best.trial.summary.last_values
    assert best.num_pairs == 2
    assert best.mean_gain == pytest.approx((first + second) / 2 - (0.3 + 0.2) / 2)
    assert "mean of accuracy and recall of the worst class" in tuner.space.objective.words


def test_confirmation_of_a_search_for_two_metrics_compares_the_first(tmp_path: Path) -> None:
    confirm = {"max_pairs": 2, "controls": ["ce"]}
    tuner = searched(tmp_path / "run", confirm=confirm)
    looks = pd.read_parquet(records.confirmation_file(tmp_path / "run", SCENARIO))
    assert set(looks.metric) == {"val_accuracy"}
    confirmed = pd.read_parquet(tmp_path / "run" / "trials.parquet").query("phase == 'confirm'")
    assert confirmed.second_last.notna().all()
    assert tuner.confirmations[SCENARIO].is_done


@pytest.mark.parametrize("confirm", [None, {"max_pairs": 2, "controls": ["ce"]}])
def test_report_of_a_search_for_two_metrics_shows_its_front(tmp_path: Path, confirm: dict[str, Any] | None) -> None:
    tuner = searched(tmp_path / "run", seeds={"pairs": 3}, confirm=confirm)
    runs = load(tmp_path / "run")
    assert runs.problems == ()
    front = runs.pareto_front()
    chosen = tuner.recorder.best(SCENARIO)
    assert chosen is not None
    assert front[front.is_chosen].trial_id.tolist() == [chosen.trial_id]
    trials = front[~front.is_control]
    points = list(zip(trials["first"], trials.second, strict=True))
    best = [not any(one != own and one[0] >= own[0] and one[1] >= own[1] for one in points) for own in points]
    assert trials.on_front.tolist() == best
    assert front[front.is_control].trial_id.tolist() == [f"{SCENARIO}-control"]
    assert runs.best().configuration.tolist() == [chosen.trial_id if confirm is None else "best-1"]
    (verdict,) = runs.verdicts()
    (sentence,) = [text for text in verdict.details if text.startswith("Second metric")]
    assert "validation recall of the worst class" in sentence
    assert "The search chose by the mean of accuracy and recall of the worst class." in sentence
    page = report_html(runs)
    assert "What one metric costs in the other" in page
    assert "Chosen by the mean of accuracy and recall of the worst class" in page


@pytest.mark.parametrize("rule", ["last", "mean_last_k", "chosen"])
def test_both_metrics_are_scored_by_the_selection_rule(tmp_path: Path, rule: Any) -> None:
    searched(tmp_path / "run", early_stopping=None, num_trials=6)
    runs = load(tmp_path / "run").using(rule, 2)
    scored = runs.scored[(runs.scored.phase == "search")].set_index("trial_id")
    epochs = pd.read_parquet(tmp_path / "run" / "epochs.parquet")
    for trial_id, own in epochs.groupby("trial_id"):
        if trial_id in scored.index:
            last = own.sort_values("epoch").tail(2 if rule == "mean_last_k" else 1)
            if rule == "chosen":  # perhaps an epoch of stage one
                last = own[own.val_accuracy == own.val_accuracy.max()].head(1)
            expected = (last.val_accuracy.mean() + last.val_worst_recall.mean()) / 2
            assert scored.rank_score[trial_id] == pytest.approx(expected)


def test_search_for_one_metric_has_no_front(tmp_path: Path) -> None:
    FakeTuner(make_space(), tmp_path / "run", accuracy).run()
    assert load(tmp_path / "run").pareto_front().empty


def test_search_for_one_metric_in_a_list_is_that_for_the_metric(tmp_path: Path) -> None:
    one, other = make_space(metric=["val_accuracy"]), make_space(metric="val_accuracy")
    assert one == other
    assert "pareto_rule" not in one.decisive()
    FakeTuner(one, tmp_path / "run", accuracy).run()
    trials = pd.read_parquet(tmp_path / "run" / "trials.parquet")
    assert trials[list(records.PARETO_COLUMNS)].isna().all(axis=None)
