"""Names, metric, durations and partial settings, each with its own check."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.spaces import make, refusal
from tune_runs.space.fields import duration_s


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(None, None), (90, 90.0), ("90", 90.0), ("90s", 90.0), ("30m", 1800.0), ("0.5h", 1800.0), ("2d", 172800.0)],
)
def test_time_budget_in_seconds(given: object, seconds: float | None) -> None:
    assert duration_s(given) == seconds
    assert make({"time_budget": given}).time_budget == seconds


SLUG = "expected 1 to 64 letters, digits, `.`, `_` or `-`, not starting with `.`"
DURATION = "expected seconds > 0, or text such as `90s`, `30m` or `12h`"


@pytest.mark.parametrize(
    ("changes", "message", "key"),
    [
        # names
        ({"name": "../x"}, f"{SLUG}, got '../x'", "name"),
        ({"name": ".x"}, f"{SLUG}, got '.x'", "name"),
        ({"name": "x" * 65}, f"{SLUG}, got '{'x' * 65}'", "name"),
        ({"name": "a\n"}, f"{SLUG}, got 'a\\n'", "name"),
        ({"scenarios": [{"name": "a/b"}]}, f"{SLUG}, got 'a/b'", "scenarios.0.name"),
        # metric and time budget
        (
            {"metric": "val_acuracy"},
            "expected `metric` to be one of `val_accuracy`, `val_balanced_accuracy`, `val_many_accuracy`, "
            "`val_medium_accuracy`, `val_few_accuracy`, `val_macro_f1`, `val_worst_recall`, `val_loss`, "
            "`val_calibration_error`, got 'val_acuracy'; did you mean `val_accuracy`?",
            "metric",
        ),
        ({"time_budget": "12 hours"}, f"{DURATION}, got '12 hours'", "time_budget"),
        ({"time_budget": 0}, f"{DURATION}, got 0", "time_budget"),
        # parts of a run's settings
        (
            {"scenarios": [{"epochs": 3}]},
            "unknown key `scenarios.0.epochs`; valid keys: `data`, `imbalance`, `name`, `noise`",
            "scenarios.0.epochs",
        ),
        (
            {"scenarios": [{"imbalance": {"type": "exp", "ratio": 2}}]},
            "expected `scenarios.0.imbalance.ratio` <= 1.0, got 2",
            "scenarios.0.imbalance.ratio",
        ),
        ({"base": 3}, "expected `base` to be a mapping of keys to values, got 3", "base"),
        ({"base/epoch": 3}, "unknown key `base.epoch`; did you mean `epochs`?", "base.epoch"),
        ({"base/epochs": 0}, "expected `base.epochs` >= 1, got 0", "base.epochs"),
        (
            {"base/optimizer": {"lr": "fast"}},
            "expected `base.optimizer.lr` to be a number, got 'fast'",
            "base.optimizer.lr",
        ),
    ],
)
def test_field_refuses(changes: dict[str, Any], message: str, key: str) -> None:
    assert refusal(changes) == f"{message} (x.yaml: {key})"
