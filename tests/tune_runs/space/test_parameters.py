"""The range of one setting: its fields."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.spaces import refusal


@pytest.mark.parametrize(
    ("changes", "message", "key"),
    [
        (
            {"search/lam": {"low": "a", "high": 2}},
            "expected `search.lam.low` to be a number, got 'a'",
            "search.lam.low",
        ),
        (
            {"search/lam": {"type": "flot", "low": 1, "high": 2}},
            "expected `search.lam.type` to be `float`, `int` or `categorical`, got 'flot'; did you mean `float`?",
            "search.lam.type",
        ),
        (
            {"search/batch_size": {"choices": [16, [32]]}},
            "expected a finite number, text, true, false or null, got [32]",
            "search.batch_size.choices.1",
        ),
        (
            {"enqueue": [{"lam": 10**400}]},
            "expected a finite number, text, true, false or null, got 1" + "0" * 79,
            "enqueue.0.lam",
        ),
    ],
)
def test_parameter_refuses(changes: dict[str, Any], message: str, key: str) -> None:
    assert refusal(changes) == f"{message} (x.yaml: {key})"
