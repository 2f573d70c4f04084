"""A word before a search ends: once, when little is left, and never while trials or pairs are left."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.fake_trainer import epoch_record
from tune_runs.driver.end_watch import NEAR_S, EndWatch
from tune_runs.trial.trial_reports import ReportedEpoch, TrialReport

EPOCH_S = sum((epoch_record(0, 0.5).train_s, epoch_record(0, 0.5).val_s))


@pytest.fixture
def said() -> list[str]:
    return []


def watch(said: list[str], *confirmations: Any) -> EndWatch:
    return EndWatch(dict(enumerate(confirmations)), lambda: said.append("near"))  # type: ignore[arg-type]


def with_left(seconds: float, is_planned: bool = True) -> Any:
    return SimpleNamespace(rounds=is_planned, epochs_left=seconds / EPOCH_S)


def train(watch: EndWatch) -> None:
    watch.on_trial_result(result=TrialReport(ReportedEpoch(epoch_record(0, 0.5))).to_result())


def test_end_is_near_once_little_is_left(said: list[str]) -> None:
    left = with_left(NEAR_S * 1.1)
    watching = watch(said, left)
    watching.on_trial_complete()
    train(watching)
    watching.on_trial_complete()
    assert said == []
    left.epochs_left = 0.9 * NEAR_S / EPOCH_S
    watching.on_trial_complete()
    watching.on_trial_complete()
    assert said == ["near"]


@pytest.mark.parametrize("second", [with_left(1.0, is_planned=False), with_left(NEAR_S)])
def test_end_is_not_near_while_another_scenario_has_much_left(said: list[str], second: Any) -> None:
    watching = watch(said, with_left(1.0), second)
    train(watching)
    watching.on_trial_complete()
    assert said == []
