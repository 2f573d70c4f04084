"""The scheduler: the results that reach the stopping rule of each scenario, and its state after a resume."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from absgd.config import RunConfig
from tests.support.fake_trainer import epoch_record
from tests.support.fake_tuner import SPACE, FakeTuner, make_space, rising
from tune_runs.driver.scheduler import SchedulerByScenario
from tune_runs.space.model import SearchSpace
from tune_runs.stopping.stopping_rules import Never
from tune_runs.trial.trial_plan import TrialPlan
from tune_runs.trial.trial_reports import ReportedEpoch, TrialReport

EXP, STEP = "digits-exp-0.1", "digits-step-0.1"
CONTROL = f"{EXP}-control"
RULES = ("asha", "age", "advantage", "mean_advantage", "age_then_epoch", "median")
CONTINUE, STOP = str(TrialScheduler.CONTINUE), str(TrialScheduler.STOP)


class RecordedCurves:
    """A recorder whose controls have 0.5 in every epoch, with trials recorded by an earlier session."""

    def __init__(self) -> None:
        self.trials: dict[str, SimpleNamespace] = {}
        self.epochs: dict[str, list[dict[str, Any]]] = {}
        self.known = 10

    def earlier_epochs(self) -> list[dict[str, Any]]:
        return [row for rows in self.epochs.values() for row in rows]

    def control_value(self, _metric: str, _scenario: str, epoch: int) -> float | None:
        return 0.5 if epoch < self.known else None

    def add(
        self, trial_id: str, scenario: str, phase: str, switch: int | None, values: dict[int, float | None]
    ) -> None:
        settings = {"switch_epoch": switch}
        self.trials[trial_id] = SimpleNamespace(trial_id=trial_id, scenario=scenario, phase=phase, settings=settings)
        self.epochs[trial_id] = [
            {
                "trial_id": trial_id,
                "epoch": epoch,
                "val_accuracy": value,
                "inherited": switch is not None and epoch < switch,
            }
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


class SchedulerBench:
    """A scheduler with the plans and records that it reads."""

    def __init__(self, rule: str = "advantage", recorder: RecordedCurves | None = None) -> None:
        self.plans: dict[str, TrialPlan] = {}
        self.recorder: Any = recorder or RecordedCurves()
        space = make_space(early_stopping={"rule": rule, "grace_period": 1})
        self.scheduler = SchedulerByScenario(space, self.plans, self.recorder)  # type: ignore[arg-type]

    def add(self, name: str, switch: int | None = 3, scenario: str = EXP, phase: Any = "search", **values: Any) -> None:
        self.plans[f"ray-{name}"] = TrialPlan(name, scenario, phase, 0, config_of(switch, **values))

    def report(self, name: str, epoch: int, value: float | None) -> str:
        record = dataclasses.replace(epoch_record(epoch, value or 0.0), val_accuracy=value)
        return self.decision(name, TrialReport(ReportedEpoch(record)))

    def decision(self, name: str, report: TrialReport) -> str:
        trial = SimpleNamespace(trial_id=f"ray-{name}")
        return self.scheduler.on_trial_result(None, trial, report.to_result())


def test_a_trial_behind_those_of_its_scenario_is_stopped() -> None:
    search = SchedulerBench()
    for name in ("good", "poor", "best"):
        search.add(name)
    search.add("poor elsewhere", scenario=STEP)
    assert search.report("good", 3, 0.7) == CONTINUE
    assert search.report("poor", 3, 0.6) == STOP
    assert search.report("poor elsewhere", 3, 0.1) == CONTINUE
    assert search.report("best", 3, 0.8) == CONTINUE


def test_controls_are_never_stopped_and_stop_no_trial() -> None:
    search = SchedulerBench("age")
    search.add("control", switch=None, phase="control")
    search.add("first")
    for epoch in range(10):
        assert search.report("control", epoch, 0.9) == CONTINUE
    assert search.report("first", 3, 0.1) == CONTINUE


def test_a_free_process_goes_to_the_newest_waiting_trial() -> None:
    """The processes of older trials are already starting; Ray would end them."""
    trials = [SimpleNamespace(number=n, status=status) for n, status in enumerate(("RUNNING", "PENDING", "PENDING"))]
    scheduler = SchedulerBench().scheduler
    assert scheduler.choose_trial_to_run(SimpleNamespace(get_trials=lambda: trials)).number == 2
    assert scheduler.choose_trial_to_run(SimpleNamespace(get_trials=lambda: trials[:1])) is None


def test_without_early_stopping_no_trial_is_stopped() -> None:
    scheduler = SchedulerByScenario(make_space(early_stopping=None), (plans := {}), RecordedCurves())  # type: ignore[arg-type]
    for name, value in (("good", 0.9), ("poor", 0.1), ("poorer", 0.0)):
        plans[name] = TrialPlan(name, EXP, "search", 0, config_of(3))
        for epoch in range(3, 10):
            result = {"epoch": epoch, "val_accuracy": value}
            assert scheduler.on_trial_result(None, SimpleNamespace(trial_id=name), result) == CONTINUE


def test_reports_without_a_value_are_not_compared() -> None:
    search = SchedulerBench("age")
    for name in ("good", "diverged", "empty", "poor"):
        search.add(name)
    search.report("good", 3, 0.7)
    assert search.decision("diverged", TrialReport(divergence="non-finite")) == CONTINUE
    assert search.report("empty", 3, None) == CONTINUE
    assert search.report("poor", 3, 0.6) == STOP


def test_results_wait_for_the_control() -> None:
    search = SchedulerBench("advantage")
    search.recorder.known = 0
    for name, value in (("good", 0.9), ("poor", 0.6)):
        search.add(name)
        assert search.report(name, 3, value) == CONTINUE
    search.recorder.known = 4
    assert search.report("good", 4, 0.1) == CONTINUE
    assert search.report("poor", 4, 0.95) == STOP


def test_replay_counts_epochs_that_search_trials_trained_themselves() -> None:
    recorder = RecordedCurves()
    inherited: dict[int, float | None] = dict.fromkeys(range(3), 0.9)
    recorder.add("good", EXP, "search", 3, {**inherited, 3: 0.7, 4: 0.7})
    recorder.add("diverged at once", EXP, "search", 3, inherited)
    recorder.add("control", EXP, "control", None, dict.fromkeys(range(10), 0.5))
    recorder.add("of a scenario that is gone", "digits", "search", 3, {3: 0.9})
    search = SchedulerBench("mean_advantage", recorder)
    search.scheduler.replay()
    search.add("poor")
    search.add("better")
    assert search.report("poor", 3, 0.6) == STOP
    assert search.report("better", 3, 0.75) == CONTINUE


def test_replayed_plain_trials_count_only_epochs_they_trained() -> None:
    """A trial without stage two forks at its last epoch; the epochs after the latest switch are its control's."""
    recorder = RecordedCurves()
    recorder.add("plain", EXP, "search", None, dict.fromkeys(range(10), 0.9))
    for row in recorder.epochs["plain"][:-1]:
        row["inherited"] = True
    search = SchedulerBench("advantage", recorder)
    search.scheduler.replay()
    search.add("first", switch=5)
    assert search.report("first", 5, 0.1) == CONTINUE


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_searches_to_the_end_and_is_rebuilt_by_a_resume(tmp_path: Path, rule: str) -> None:
    scenario = {"imbalance": {"type": "exp", "ratio": 0.1}}
    space = make_space(early_stopping={"rule": rule}, num_trials=8, scenarios=[scenario])
    tuner = FakeTuner(space, tmp_path / "fake", rising, concurrent=3)
    tuner.run()
    searched = [trial for trial in tuner.recorder.trials.values() if trial.phase == "search"]
    assert {trial.status for trial in searched} == {"completed", "pruned"}
    best = tuner.recorder.best(EXP)
    assert best is not None
    assert best.settings["gamma"] == max(trial.settings["gamma"] for trial in searched)
    resumed = FakeTuner(space, tmp_path / "fake", rising)
    assert tuner.scheduler.scenarios[EXP].scores
    assert resumed.scheduler.scenarios[EXP].scores == tuner.scheduler.scenarios[EXP].scores


@pytest.mark.parametrize("how", ["failed", "diverged"])
def test_control_that_ended_gives_no_further_value(tmp_path: Path, how: str) -> None:
    def curve(config: RunConfig, epoch: int) -> float | None:
        return None if how == "diverged" and config.attention is None and epoch == 6 else 0.25

    tuner = FakeTuner(gain_space("advantage"), tmp_path / "fake", curve, concurrent=1)
    value = functools.partial(tuner.recorder.control_value, "val_accuracy")
    assert value(EXP, 0) is None, "it has not begun"
    for number, _ in enumerate(tuner.results({CONTROL: 6} if how == "failed" else {})):
        if number < 6:
            assert [value(EXP, number), value(EXP, number + 1)] == [0.25, None]
        else:
            assert tuner.recorder.trials[CONTROL].status == how
            assert [value(EXP, 5), value(EXP, 6), value(EXP, 9)] == [0.25, Never.COMES, Never.COMES]


@pytest.mark.parametrize("rule", ["advantage", "age_then_epoch"])
def test_after_the_end_of_a_control_that_failed_only_rungs_by_epoch_compare(tmp_path: Path, rule: str) -> None:
    tuner = FakeTuner(gain_space(rule), tmp_path / "fake", rising, concurrent=1)
    tuner.run(fails={CONTROL: 5})
    recorded = tuner.recorder.trials
    assert recorded[CONTROL].status == "failed"
    judge = tuner.scheduler.scenarios[EXP]
    for rung, scores in judge.scores.items():
        if rung.unit != "epochs":
            assert all(recorded[trial_id].settings["switch_epoch"] + rung.at <= 5 for trial_id in scores)
    by_epoch = [rung.at for rung in judge.scores if rung.unit == "epochs"]
    assert by_epoch == ([6, 7, 9] if rule == "age_then_epoch" else [])
    ends = {trial.epochs_done for trial in recorded.values() if trial.status == "pruned"}
    assert (max(ends) > 5) == (rule == "age_then_epoch")


@pytest.mark.parametrize("rule", ["advantage", "mean_advantage", "age_then_epoch"])
@pytest.mark.parametrize("stop_after", [12, 31])
def test_one_trial_at_a_time_a_resumed_search_ends_as_an_uninterrupted_one(
    tmp_path: Path, rule: str, stop_after: int
) -> None:
    whole = FakeTuner(gain_space(rule), tmp_path / "whole", some_diverge, concurrent=1)
    whole.run()
    FakeTuner(gain_space(rule), tmp_path / "parts", some_diverge, concurrent=1).run(stop_after_results=stop_after)
    resumed = FakeTuner(gain_space(rule), tmp_path / "parts", some_diverge, concurrent=1)
    resumed.run()
    assert ends_and_scores(resumed) == ends_and_scores(whole)


@pytest.mark.parametrize("rule", ["advantage", "mean_advantage", "age_then_epoch"])
def test_rungs_are_rebuilt_when_control_and_first_trials_were_killed_together(tmp_path: Path, rule: str) -> None:
    killed = FakeTuner(gain_space(rule), tmp_path / "parts", some_diverge, concurrent=2)
    killed.run(stop_after_results=10)
    killed.recorder.tables.flush()
    assert killed.recorder.trials[CONTROL].status == "running"
    assert killed.recorder.trials[f"{EXP}-0000"].status == "diverged", "and so is recorded"
    assert killed.scheduler.scenarios[EXP].scores
    resumed = FakeTuner(gain_space(rule), tmp_path / "parts", some_diverge, concurrent=2)
    assert resumed.scheduler.scenarios[EXP].scores == killed.scheduler.scenarios[EXP].scores
    resumed.run()
    assert {trial.status for trial in resumed.recorder.trials.values()} == {"completed", "pruned", "diverged"}


def gain_space(rule: str) -> SearchSpace:
    """Return a space of one scenario with seed 10: the first diverges after one epoch of stage two, at epoch 5."""
    stopping = {"rule": rule, "grace_period": 1, "reduction_factor": 2}
    return make_space(scenarios=SPACE["scenarios"][:1], early_stopping=stopping, seed=10)


def some_diverge(config: RunConfig, epoch: int) -> float | None:
    gamma = config.attention.gamma if config.attention else 0.0
    return None if gamma > 0.7 and epoch == 5 else rising(config, epoch)


def ends_and_scores(tuner: FakeTuner) -> tuple[Any, Any]:
    """Return how each trial ended, and the scores that were compared."""
    searched = [trial for trial in tuner.recorder.trials.values() if trial.phase == "search"]
    ends = {
        one.trial_id: (
            one.settings["gamma"],
            one.settings["switch_epoch"],
            one.status,
            one.summary.epochs_trained,
        )
        for one in searched
    }
    assert len({status for _, _, status, _ in ends.values()}) == 3
    return ends, dict(tuner.scheduler.scenarios[EXP].scores)
