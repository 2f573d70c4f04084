"""Rungs start after the latest switch epoch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tune_runs.spaces import make
from tune_runs.early_stopping import early_stopping


@pytest.mark.parametrize(
    ("changes", "grace_period", "rungs"),
    [
        ({}, 13, (13, 15)),
        ({"asha": {"reduction_factor": 2}}, 13, (13, 14)),
        ({"asha": {"grace_period": 14}}, 14, (14,)),
        ({"asha": {"grace_period": 16}}, 16, ()),
        ({"asha": None}, None, ()),
        ({"base/epochs": 200}, 13, (13, 15, 21, 39, 93)),
        ({"search/switch_epoch": {"choices": [3, 9, 6]}}, 10, (10, 12)),
        ({"base/loss": {"name": "ce"}, "search": {"optimizer.lr": {"low": 0.01, "high": 0.1}}}, 1, (1, 3, 9)),
    ],
)
def test_rungs_start_after_the_latest_switch(
    changes: dict[str, Any], grace_period: int | None, rungs: tuple[int, ...]
) -> None:
    stopping = early_stopping(make(changes))
    assert (stopping.grace_period, stopping.rungs) == (grace_period, rungs)


def test_latest_switch_counts_the_base_value_of_trials_that_do_not_draw_it() -> None:
    search = {
        "optimizer.lr": {"choices": [0.1, 0.2]},
        "switch_epoch": {"low": 3, "high": 5, "when": {"optimizer.lr": 0.1}},
    }
    attention = {"lam": 5.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 9}
    assert early_stopping(make({"search": search, "base/attention": attention})).latest_switch == 9
