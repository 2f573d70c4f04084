"""The epochs that runs report at once: those after which the driver decides something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from absgd.config import RunConfig
from absgd.records import Phase
from tests.support.fake_searches import EXP, STOPPING, space_of
from tests.support.fake_tuner import SPACE, FakeTuner, rising
from tests.support.made_up_scores import close
from tests.support.searches_over_pairs import POINTS, assert_equal, pairs_space, resumed_after_kills
from tune_runs.driver.due_reports import due_reports
from tune_runs.trial import trainable
from tune_runs.trial.trial_plan import TrialPlan
from tune_runs.trunks.trunk_use import TrunkUse

PLAIN = RunConfig.from_dict({**SPACE["base"], "loss": {"name": "ce"}})
TRUNK = TrunkUse("trunks", "key", "data", 0, (3, 5, 10))


def due(phase: Phase, switch: int | None = None, pair: int = 0, is_trunk: bool = False, **changes: Any) -> Any:
    config = PLAIN
    if switch is not None:
        attention = {"lam": 1.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": switch}
        config = PLAIN.with_values({"loss.name": "abce", "attention": attention})
    plan = TrialPlan("x", EXP, phase, 0, config, TRUNK if is_trunk else None, pair=pair)
    return due_reports(space_of(**changes))(plan)


@pytest.mark.parametrize(
    ("rule", "switch", "expected"),
    [
        ("age_then_epoch", 3, (4, 5, 6, 7, 9)),  # ages 1 and 2, then from the latest switch, 5, on
        ("age_then_epoch", 5, (6, 7, 9)),
        ("age", 4, (5, 6, 8)),
        ("asha", 3, (6, 7, 9)),
        ("median", 7, (8, 9)),  # every epoch but the last
    ],
)
def test_trial_reports_at_its_rungs(rule: str, switch: int, expected: tuple[int, ...]) -> None:
    given: dict[str, Any] = {"rule": rule, "grace_period": 6 if rule == "asha" else 1}
    given |= {} if rule == "median" else {"reduction_factor": 2}
    assert due("search", switch, early_stopping=given) == expected


def test_trial_without_early_stopping_need_not_report() -> None:
    assert due("search", 4, early_stopping=None) == ()


def test_trunk_reports_where_others_fork_and_on_pair_0_from_there_on() -> None:
    assert due("control", is_trunk=True) == tuple(range(3, 10))
    assert due("control", pair=1, is_trunk=True) == TRUNK.save_at
    assert due("confirm", pair=3, is_trunk=True) == TRUNK.save_at
    assert due("replicate", 4, pair=1) == due("confirm", pair=3) == ()


def test_every_epoch_is_reported_where_controls_are_tuned_gains_have_no_trunk_or_a_budget_is_counted() -> None:
    assert due("tuning") is None
    assert due("control") is None
    for budget in ({"epoch_budget": 100}, {"time_budget": "1h"}, {"disk_budget": 1.0}):
        assert due("search", 4, **budget) is None
        assert due("confirm", pair=3, **budget) is None


@pytest.fixture
def clock_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainable.time, "monotonic", lambda: 0.0)


CONFIRM = {"max_pairs": 2, "controls": ["ce", "focal"]}


def tuner(folder: Path, together: bool, **changes: Any) -> FakeTuner:
    space = pairs_space(early_stopping=STOPPING, confirm=CONFIRM, **changes)
    return FakeTuner(space, folder, rising, concurrent=1, test_score=close, together=together)


@pytest.mark.usefixtures("clock_stands")
def test_tables_do_not_depend_on_how_many_epochs_come_together(tmp_path: Path) -> None:
    counts = [sum(1 for _ in tuner(tmp_path / str(one), together=one).results({})) for one in (False, True)]
    assert counts[1] < counts[0] / 2
    assert_equal(tmp_path / "False", tmp_path / "True")


@pytest.mark.usefixtures("clock_stands")
def test_kill_between_reports_leaves_the_same_tables(tmp_path: Path) -> None:
    def make(folder: Path) -> FakeTuner:
        return tuner(folder, together=True, num_trials=4, enqueue=POINTS[:4])

    assert list(resumed_after_kills(make, tmp_path, every=3))
