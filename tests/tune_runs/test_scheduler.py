"""The rules behind Ray's scheduler: which results reach which scenario's state, and what a resume rebuilds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from absgd.config import RunConfig
from tests.tune_runs.fake_tuner import FakeTuner, make_space, rising
from tune_runs.plan import TrialPlan
from tune_runs.recorder import DIVERGED
from tune_runs.scheduler import SchedulerByScenario

EXP, STEP = "digits-exp-0.1", "digits-step-0.1"
RULES = ("epoch", "age", "advantage", "mean_advantage", "age_then_epoch", "median")
CONTINUE, STOP = str(TrialScheduler.CONTINUE), str(TrialScheduler.STOP)


class FakeRecorder:
    """Controls at 0.5 in every epoch, and the recorded trials of an earlier session."""

    def __init__(self) -> None:
        self.trials: dict[str, dict[str, Any]] = {}
        self.epochs: dict[str, list[dict[str, Any]]] = {}
        self.known = 10

    def control_value(self, _scenario: str, epoch: int) -> float | None:
        return 0.5 if epoch < self.known else None

    def add(
        self, trial_id: str, scenario: str, phase: str, switch: int | None, values: dict[int, float | None]
    ) -> None:
        self.trials[trial_id] = {"scenario": scenario, "phase": phase, "switch_epoch": switch}
        self.epochs[trial_id] = [
            {"epoch": epoch, "val_accuracy": value, "inherited": switch is not None and epoch < switch}
            for epoch, value in values.items()
        ]


def config_of(switch: int | None, **values: Any) -> RunConfig:
    attention = {"lam": 5.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": switch}
    settings = {
        "data": {"name": "digits"},
        "model": {"name": "resnet8"},
        "loss": {"name": "abce" if switch is not None else "ce"},
        "attention": attention if switch is not None else None,
        "epochs": 10,
    }
    return RunConfig.from_dict(settings).with_values(values)


class Search:
    """A scheduler and what it is told."""

    def __init__(self, rule: str = "advantage", recorder: FakeRecorder | None = None) -> None:
        self.plans: dict[str, TrialPlan] = {}
        self.recorder: Any = recorder or FakeRecorder()
        space = make_space(early_stopping={"rule": rule, "grace_period": 1})
        self.scheduler = SchedulerByScenario(space, self.plans, self.recorder)

    def add(self, name: str, switch: int | None = 3, scenario: str = EXP, phase: Any = "search", **values: Any) -> None:
        self.plans[f"ray-{name}"] = TrialPlan(name, scenario, phase, 0, config_of(switch, **values))

    def report(self, name: str, epoch: int, value: float | None, **more: Any) -> str:
        result = {"epoch": epoch, "val_accuracy": value, **more}
        return self.scheduler.on_trial_result(None, SimpleNamespace(trial_id=f"ray-{name}"), result)


def test_a_trial_behind_those_of_its_scenario_is_stopped() -> None:
    search = Search()
    for name in ("good", "poor", "best"):
        search.add(name)
    search.add("poor elsewhere", scenario=STEP)
    assert search.report("good", 3, 0.7) == CONTINUE
    assert search.report("poor", 3, 0.6) == STOP
    assert search.report("poor elsewhere", 3, 0.1) == CONTINUE
    assert search.report("best", 3, 0.8) == CONTINUE


def test_controls_are_never_stopped_and_stop_nobody() -> None:
    search = Search("age")
    search.add("control", switch=None, phase="control")
    search.add("first")
    for epoch in range(10):
        assert search.report("control", epoch, 0.9) == CONTINUE
    assert search.report("first", 3, 0.1) == CONTINUE


def test_a_free_process_goes_to_the_newest_waiting_trial() -> None:
    """The older ones have a process starting, which Ray would end."""
    trials = [SimpleNamespace(number=n, status=status) for n, status in enumerate(("RUNNING", "PENDING", "PENDING"))]
    scheduler = Search().scheduler
    assert scheduler.choose_trial_to_run(SimpleNamespace(get_trials=lambda: trials)).number == 2
    assert scheduler.choose_trial_to_run(SimpleNamespace(get_trials=lambda: trials[:1])) is None


def test_without_early_stopping_nobody_is_stopped() -> None:
    scheduler = SchedulerByScenario(make_space(early_stopping=None), (plans := {}), FakeRecorder())  # type: ignore[arg-type]
    for name, value in (("good", 0.9), ("poor", 0.1), ("poorer", 0.0)):
        plans[name] = TrialPlan(name, EXP, "search", 0, config_of(3))
        for epoch in range(3, 10):
            result = {"epoch": epoch, "val_accuracy": value}
            assert scheduler.on_trial_result(None, SimpleNamespace(trial_id=name), result) == CONTINUE


def test_reports_without_a_value_decide_nothing() -> None:
    search = Search("age")
    for name in ("good", "diverged", "empty", "poor"):
        search.add(name)
    search.report("good", 3, 0.7)
    assert search.report("diverged", 3, 0.1, **{DIVERGED: "non-finite"}) == CONTINUE
    assert search.report("empty", 3, None) == CONTINUE
    assert search.report("poor", 3, 0.6) == STOP


def test_results_wait_for_the_control() -> None:
    search = Search("advantage")
    search.recorder.known = 0
    for name, value in (("good", 0.9), ("poor", 0.6)):
        search.add(name)
        assert search.report(name, 3, value) == CONTINUE
    search.recorder.known = 4
    assert search.report("good", 4, 0.1) == CONTINUE
    assert search.report("poor", 4, 0.95) == STOP


def test_replay_counts_what_search_trials_trained_themselves() -> None:
    recorder = FakeRecorder()
    inherited: dict[int, float | None] = dict.fromkeys(range(3), 0.9)
    recorder.add("good", EXP, "search", 3, {**inherited, 3: 0.7, 4: 0.7})
    recorder.add("diverged at once", EXP, "search", 3, inherited)
    recorder.add("control", EXP, "control", None, dict.fromkeys(range(10), 0.5))
    recorder.add("of a scenario that is gone", "digits", "search", 3, {3: 0.9})
    search = Search("mean_advantage", recorder)
    search.scheduler.replay(search.recorder)
    search.add("poor")
    search.add("better")
    assert search.report("poor", 3, 0.6) == STOP
    assert search.report("better", 3, 0.75) == CONTINUE


def test_replayed_plain_trials_count_only_what_they_trained() -> None:
    """A trial without stage two forks at its last epoch; the epochs after the latest switch are its control's."""
    recorder = FakeRecorder()
    recorder.add("plain", EXP, "search", None, dict.fromkeys(range(10), 0.9))
    for row in recorder.epochs["plain"][:-1]:
        row["inherited"] = True
    search = Search("advantage", recorder)
    search.scheduler.replay(search.recorder)
    search.add("first", switch=5)
    assert search.report("first", 5, 0.1) == CONTINUE


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_searches_to_the_end_and_is_rebuilt_by_a_resume(tmp_path: Path, rule: str) -> None:
    scenario = {"imbalance": {"type": "exp", "ratio": 0.1}}
    space = make_space(early_stopping={"rule": rule}, num_trials=8, scenarios=[scenario])
    tuner = FakeTuner(space, tmp_path / "fake", rising, concurrent=3)
    tuner.run()
    rows = [row for row in tuner.recorder.trials.values() if row["phase"] == "search"]
    assert {row["status"] for row in rows} == {"completed", "pruned"}
    best = tuner.recorder.best(EXP)
    assert best is not None
    assert best["gamma"] == max(row["gamma"] for row in rows)
    resumed = FakeTuner(space, tmp_path / "fake", rising)
    assert tuner.scheduler.scenarios[EXP].scores
    assert resumed.scheduler.scenarios[EXP].scores == tuner.scheduler.scenarios[EXP].scores
