"""The names, ranges and conditions that `search` may contain."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.spaces import refusal

SIGN_HINT = "; for both signs bound the magnitude and add `sign: [1, -1]`"
ONE_SIDE = "expected `low` and `high` on one side of 0, since lambda is never 0 and its sign chooses the method"


@pytest.mark.parametrize(
    ("changes", "message", "key"),
    [
        # names
        ({"search": {}}, "expected at least one parameter in `search`, got an empty mapping", "search"),
        ({"search/lamb": {"low": 1, "high": 2}}, "unknown parameter `lamb`; did you mean `lam`?", "search.lamb"),
        (
            {"search/optimizer.lrr": {"low": 1, "high": 2}},
            "unknown parameter `optimizer.lrr`; did you mean `optimizer.lr`?",
            "search.optimizer.lrr",
        ),
        (
            {"search/attention.lam": {"low": 1, "high": 2}},
            "expected the short name `lam`, got `attention.lam`",
            "search.attention.lam",
        ),
        (
            {"search/epochs": {"low": 1, "high": 2}},
            "`epochs` cannot be searched: rungs and budgets depend on it",
            "search.epochs",
        ),
        (
            {"search/imbalance.ratio": {"low": 0.1, "high": 1}},
            "`imbalance.ratio` cannot be searched: it belongs to a scenario",
            "search.imbalance.ratio",
        ),
        (
            {"search/seeds.train": {"low": 1, "high": 2}},
            "`seeds.train` cannot be searched: a seed is drawn, not chosen",
            "search.seeds.train",
        ),
        (
            {"search/device.type": {"choices": ["cpu"]}},
            "`device.type` cannot be searched: `resources` decide it",
            "search.device.type",
        ),
        # ranges
        (
            {"search/lam": {"low": 5, "high": 5}},
            "expected `low` < `high`, got 5 and 5; a fixed value belongs in `base`",
            "search.lam",
        ),
        ({"search/lam": {"low": 1}}, "expected `low` and `high`, or `choices`, got only `low`", "search.lam"),
        ({"search/lam": {}}, "expected `low` and `high`, or `choices`, got nothing", "search.lam"),
        (
            {"search/gamma": {"low": 0, "high": 1, "log": True}},
            "expected `low` > 0 with `log`, got 0 and 1",
            "search.gamma",
        ),
        (
            {"search/gamma": {"low": 0.1, "high": 1, "log": True, "step": 0.1}},
            "expected `log` or `step`, not both, got `log` with `step` 0.1",
            "search.gamma",
        ),
        (
            {"search/gamma": {"low": 0.1, "high": 1, "step": 0.4}},
            "expected `high` - `low` to be a multiple of `step` (0.4), got 0.1 and 1",
            "search.gamma",
        ),
        (
            {"search/gamma": {"low": 0, "high": 1, "step": 1e-30}},
            "expected at most 2^53 multiples of `step` between the bounds, got 1e-30",
            "search.gamma",
        ),
        (
            {"search/switch_epoch": {"type": "int", "low": 8.5, "high": 12}},
            "expected `low` to be a whole number up to 2^53 with type `int`, got 8.5",
            "search.switch_epoch",
        ),
        (
            {"search/batch_size": {"low": 8, "high": 1e300}},
            "expected `high` to be a whole number up to 2^53 with type `int`, got 1e+300",
            "search.batch_size",
        ),
        (
            {"search/switch_epoch": {"type": "float", "low": 8, "high": 12}},
            "expected type `int`, since `switch_epoch` is a whole number, got `float`",
            "search.switch_epoch",
        ),
        # choices
        ({"search/lam": {"choices": []}}, "expected at least one of `choices`, got an empty list", "search.lam"),
        ({"search/lam": {"choices": [1, 1.0]}}, "expected every one of `choices` once, got [1, 1.0]", "search.lam"),
        (
            {"search/lam": {"choices": [1, 2], "low": 1, "high": 2}},
            "expected either `choices` or `low` and `high`, got `choices` with `low`",
            "search.lam",
        ),
        (
            {"search/lam": {"type": "categorical"}},
            "expected `choices` with type `categorical`, got nothing",
            "search.lam",
        ),
        (
            {"search/lam": {"type": "float", "choices": [1]}},
            "expected type `categorical` with `choices`, got `float`",
            "search.lam",
        ),
        # lambda and its sign
        ({"search/lam": {"low": -5, "high": 5}}, f"{ONE_SIDE}, got -5 and 5{SIGN_HINT}", "search.lam"),
        (
            {"search/lam": {"low": -5, "high": 0, "log": True}},
            "expected `low` > 0 or `high` < 0 with `log`, got -5 and 0",
            "search.lam",
        ),
        (
            {"search/lam": {"low": -5, "high": 5, "sign": [1]}},
            "expected `low` > 0 with `sign`, since the bounds are those of the magnitude, got -5",
            "search.lam",
        ),
        (
            {"search/lam": {"low": 1, "high": 5, "sign": []}},
            "expected `sign` to be [1], [-1] or [1, -1], got []",
            "search.lam",
        ),
        (
            {"search/gamma": {"low": 0.1, "high": 1, "sign": [1]}},
            "expected `sign` for `lam` only, got it for `gamma`",
            "search.gamma",
        ),
    ],
)
def test_search_refuses(changes: dict[str, Any], message: str, key: str) -> None:
    assert refusal(changes) == f"{message} (x.yaml: {key})"


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"loss.names": "abce"}, "expected a parameter or setting, got `loss.names`; did you mean `loss.name`?"),
        ({"batch_size": []}, "expected at least one value of `batch_size`, got an empty list"),
        ({"batch_size": [16, 99]}, "expected values of `batch_size` (16, 32), got 99"),
        ({"gamma": 0.5}, "expected `gamma` to have `choices`, since `optimizer.lr` depends on its value, got a range"),
        ({"attention.gamma": 0.5}, "expected the short name `gamma`, got `attention.gamma`"),
        ({"model.dropout": 0.1}, "expected `model.dropout` to stand before `optimizer.lr`, whose `when` names it"),
    ],
)
def test_condition_refuses(when: dict[str, Any], message: str) -> None:
    changes = {
        "search/batch_size": {"choices": [16, 32]},
        "search/optimizer.lr": {"low": 0.1, "high": 0.2, "when": when},
        "search/model.dropout": {"choices": [0.0, 0.1]},
    }
    assert refusal(changes) == f"{message} (x.yaml: search.optimizer.lr.when)"
