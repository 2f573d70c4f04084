"""The rules between the fields of a space."""

from __future__ import annotations

from typing import Any

import pytest

from absgd.errors import UserError
from tests.support.spaces import make, refusal


@pytest.mark.parametrize(
    ("changes", "message", "key"),
    [
        # scenarios
        ({"scenarios": []}, "expected at least one scenario, got an empty list", "scenarios"),
        ({"scenarios": [{}, {}]}, "expected a `name` that no other scenario has, got `digits`", "scenarios.1.name"),
        (
            {"scenarios": [{"name": "a"}, {"name": "A"}]},
            "expected a `name` that no other scenario has, got `A`",
            "scenarios.1.name",
        ),
        (
            {"scenarios": [{}, {"imbalance": {"ratio": 0.5}}]},
            "expected `ratio` = 1 with imbalance type `none`, got 0.5",
            "scenarios.1.imbalance.ratio",
        ),
        # base and resources
        (
            {"resources": {"gpu": 1.5}},
            "expected `gpu` <= 1, and `gpus_per_trial` for more, got 1.5",
            "resources.gpu",
        ),
        ({"base/data": {}}, "expected `data.name`, got nothing", "base.data.name"),
        (
            {"base/schedule": {"type": "step", "milestones": [16]}},
            "expected every milestone < `epochs` (16), got 16",
            "base.schedule.milestones",
        ),
        (
            {"base/device": {"cuda_graph": True}, "resources": {"gpu": 0}},
            "expected `cuda_graph` with a CUDA device only, got device `cpu`",
            "base.device.cuda_graph",
        ),
        (
            {"base/device": {"threads": 2}},
            "expected `device.threads` to be left to `resources`, got 2",
            "base.device.threads",
        ),
        (
            {"base/loss": {"name": "ce"}},
            "expected `lam` only with losses that have attention weights, got loss `ce`",
            "search.lam",
        ),
        (
            {"search": {"lam": {"low": 1, "high": 2}}},
            "expected `attention.gamma`, got nothing",
            "base.attention.gamma",
        ),
        (
            {"search": {"optimizer.lr": {"low": 1, "high": 2}}},
            "expected `attention` with loss `abce`, got nothing",
            "base.attention",
        ),
        (
            {
                "base/loss": {"name": "ce"},
                "base/attention": {"lam": 5},
                "search": {"optimizer.lr": {"low": 1, "high": 2}},
            },
            "expected no `attention`, since no loss of the space has attention weights",
            "base.attention",
        ),
        # ends and choices of a range
        (
            {"search/switch_epoch": {"low": 8, "high": 240}},
            "expected `switch_epoch` < `epochs` (16), got 240",
            "search.switch_epoch",
        ),
        ({"search/gamma": {"low": 0.5, "high": 1.5}}, "expected `attention.gamma` <= 1.0, got 1.5", "search.gamma"),
        (
            {"search/batch_size": {"choices": [16, 32.5]}},
            "expected `batch_size` to be a whole number, got 32.5",
            "search.batch_size",
        ),
        (
            {"base/model": {"head": "linear"}, "search/loss.name": {"choices": ["abce", "abldam"]}},
            "expected `head` `cosine` with loss `abldam`, got `linear`",
            "base.model.head",
        ),
        (
            {"search/loss.focal_gamma": {"low": -1, "high": 2}},
            "expected `loss.focal_gamma` >= 0.0, got -1.0",
            "search.loss.focal_gamma",
        ),
        (
            {"search/optimizer.fc1_weight_decay": {"choices": [None, 0.01]}},
            "expected `fc1_weight_decay` with model `cnn8` only, got `resnet8`",
            "search.optimizer.fc1_weight_decay",
        ),
        (
            {"scenarios": [{}, {"noise": {"type": "cifar10_pairs", "rate": 0.4}}]},
            "expected noise `cifar10_pairs` with data `cifar10` only, got `digits`",
            "scenarios.1.noise.type",
        ),
        ({"search/lam": {"choices": [1, 0]}}, "expected `lam` != 0, got 0", "search.lam"),
        ({"search/lam": {"low": 0, "high": 5}}, "expected `lam` != 0, got 0", "search.lam"),
        # early stopping
        (
            {"early_stopping": {"rule": "asha", "grace_period": 12}},
            "expected `grace_period` > the latest `switch_epoch` (12), "
            "since before the switch all trials are equal, got 12",
            "early_stopping.grace_period",
        ),
        (
            {"early_stopping": {"rule": "asha", "grace_period": 17}},
            "expected `grace_period` <= `epochs` (16), got 17",
            "early_stopping.grace_period",
        ),
        *(
            (
                {"early_stopping": {"rule": rule, "grace_period": 9}},
                "expected `grace_period` <= 8, the epochs of the longest stage two, since rule "
                f"`{rule}` counts from each trial's switch, got 9",
                "early_stopping.grace_period",
            )
            for rule in ("age", "advantage", "mean_advantage", "age_then_epoch", "median")
        ),
        (
            {"early_stopping": {"rule": "median", "reduction_factor": 3}},
            "expected no `reduction_factor` with rule `median`, got 3",
            "early_stopping.reduction_factor",
        ),
        # enqueued points
        (
            {"enqueue": [{}]},
            "expected at least one parameter in a point of `enqueue`, got an empty mapping",
            "enqueue.0",
        ),
        (
            {"enqueue": [{"lam": 1}, {"lamm": 5}]},
            "expected a parameter of `search`, got `lamm`; did you mean `lam`?",
            "enqueue.1.lamm",
        ),
        ({"enqueue": [{"lam": "x"}]}, "expected a number, got 'x'", "enqueue.0.lam"),
        ({"enqueue": [{"switch_epoch": 9.5}]}, "expected a whole number, got 9.5", "enqueue.0.switch_epoch"),
    ],
)
def test_space_refuses(changes: dict[str, Any], message: str, key: str) -> None:
    assert refusal(changes) == f"{message} (x.yaml: {key})"


def test_space_refuses_a_condition_that_never_holds() -> None:
    changes = {"search/optimizer.lr": {"low": 0.1, "high": 0.2, "when": {"model.name": "resnet20"}}}
    message = "expected a condition that can hold, got one under which `optimizer.lr` is never drawn"
    assert refusal(changes) == f"{message} (x.yaml: search.optimizer.lr.when)"


def test_space_refuses_a_point_with_a_parameter_that_its_own_values_switch_off() -> None:
    changes = {
        "search/batch_size": {"choices": [16, 32]},
        "search/optimizer.lr": {"low": 0.1, "high": 0.2, "when": {"batch_size": 32}},
        "enqueue": [{"batch_size": 16, "optimizer.lr": 0.1}],
    }
    expected = "expected `optimizer.lr` only in points where its `when` holds (x.yaml: enqueue.0.optimizer.lr)"
    assert refusal(changes) == expected


def test_space_of_many_choices_is_checked_at_each_of_them() -> None:
    lists = {
        f"search/{key}": {"choices": [n / 10 for n in range(1, 10)]} for key in ("gamma", "ab_alpha", "model.dropout")
    }
    make(lists)
    with pytest.raises(UserError, match=r"expected `model.dropout` < 1.0, got 1.5 \(x.yaml: search.model.dropout\)"):
        make({**lists, "search/model.dropout": {"choices": [*(n / 10 for n in range(9)), 1.5]}})


@pytest.mark.parametrize(
    ("confirm", "said"),
    [
        ({"margin": 0}, "expected `confirm.margin` > 0.0, got 0 (x.yaml: confirm.margin)"),
        ({"margin": -1}, "expected `confirm.margin` > 0.0, got -1"),
        ({"margin": float("nan")}, "expected `confirm.margin` "),
        ({"margin": 100}, "expected `margin` < 100 points, since `val_balanced_accuracy` is a fraction"),
        ({"max_pairs": 0}, "expected `confirm.max_pairs` >= 1, got 0"),
        ({"epoch_budget": 0}, "expected `confirm.epoch_budget` >= 1, got 0"),
        ({"top": 3}, "unknown key `top`: the seeds of the search choose one configuration"),
        ({"seeds": 3}, "unknown key `seeds`; it is now `max_pairs`"),
    ],
)
def test_confirmation_that_cannot_be_is_refused(confirm: dict[str, Any], said: str) -> None:
    assert said in refusal({"confirm": confirm})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": ["val_accuracy"] * 2}, "expected two different metrics, got `val_accuracy` twice (x.yaml: metric)"),
        (
            {"metric": ["val_accuracy", "val_macro_f1", "val_loss"]},
            "expected `metric` to be one metric or a list of two, got 3; with more of them hardly any trial is behind "
            "another one in all (x.yaml: metric)",
        ),
        ({"metric": []}, "expected `metric` to be one metric or a list of two, got 0 (x.yaml: metric)"),
        (
            {"metric": ["val_accuracy", "val_acuracy"]},
            "got 'val_acuracy'; did you mean `val_accuracy`? (x.yaml: metric)",
        ),
        ({"metric": [["val_accuracy"]]}, "expected `metric` to be one of `val_accuracy`"),
        ({"metric": 3}, "expected `metric` to be one of `val_accuracy`"),
        ({"pareto_rule": "mean"}, "expected no `pareto_rule` with one metric, got `mean` (x.yaml: pareto_rule)"),
        (
            {"metric": ["val_accuracy", "val_loss"], "pareto_rule": "mean"},
            "expected `pareto_rule` `first` with `val_loss`, since a mean of it and a fraction has no unit, got `mean`",
        ),
        (
            {"metric": ["val_accuracy", "val_macro_f1"], "early_stopping": {"rule": "median"}},
            "expected another rule than `median` with two metrics, which have no median (x.yaml: early_stopping.rule)",
        ),
    ],
)
def test_metrics_that_cannot_be_searched_for_are_refused(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(changes)


def test_pareto_rule_is_the_mean_where_both_metrics_are_fractions() -> None:
    assert make({"metric": ["val_accuracy", "val_calibration_error"]}).objective.rule == "mean"
    assert make({"metric": ["val_accuracy", "val_loss"]}).objective.rule == "first"


def test_margin_in_units_of_the_loss_has_no_upper_bound() -> None:
    assert make({"metric": "val_loss", "confirm": {"margin": 250}}).confirm is not None
