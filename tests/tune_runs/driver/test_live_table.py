"""The live table and the summary: their numbers, then what a terminal shows."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.support.fake_trainer import epoch_record
from tests.support.fake_tuner import SPACE, FakeTuner, make_space, rising
from tune_runs.driver.live_table import LiveTableCallback, clock_text, live_table
from tune_runs.driver.scenario_progress import EpochPace, scenario_progress
from tune_runs.driver.search_summary import print_summary
from tune_runs.preview.confirm_cost import confirm_cost
from tune_runs.progress.progress_table import ScenarioProgress
from tune_runs.space.model import SearchSpace
from tune_runs.space.run_configs import control_config
from tune_runs.trial.trial_plan import TrialTask
from tune_runs.trial.trial_reports import ReportedEpoch, TrialReport

EXP, STEP = "digits-exp-0.1", "digits-step-0.1"


@pytest.fixture
def halfway(tmp_path: Path) -> FakeTuner:
    tuner = FakeTuner(make_space(), tmp_path / "fake", rising)
    tuner.run(stop_after_results=45)
    return tuner


def terminal(width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def progress_of(tuner: FakeTuner, name: str = EXP) -> ScenarioProgress:
    return scenario_progress(tuner.space, tuner.recorder, tuner.plans[name])


def totals_along(tuner: FakeTuner, fails: Mapping[str, int] | None = None) -> tuple[list[int], int]:
    """Return the sum of epochs done and left before and after each result of a search, and those done in the end."""
    plan = tuner.plans[EXP]
    along = [scenario_progress(tuner.space, tuner.recorder, plan)]
    along += (scenario_progress(tuner.space, tuner.recorder, plan) for _ in tuner.results(fails or {}))
    assert along[-1].epochs_left == 0
    return [one.epochs_done + one.epochs_left for one in along], along[-1].epochs_done


def one_scenario(search: Mapping[str, Any], **changes: Any) -> SearchSpace:
    """Return a space without early stopping; the learning rate of its control is 0.1."""
    parts = {"base": {**SPACE["base"], "optimizer": {"lr": 0.1}}, "search": {**SPACE["search"], **search}}
    return make_space(**{**parts, "scenarios": SPACE["scenarios"][:1], "early_stopping": None, **changes})


def test_states_and_epochs_add_up(halfway: FakeTuner) -> None:
    for scenario in (EXP, STEP):
        one = progress_of(halfway, scenario)
        assert sum(one.states.values()) == halfway.space.num_trials
        trials = halfway.recorder.trials_of(scenario)
        assert one.epochs_done == sum(trial.summary.epochs_trained for trial in trials)
        running = [trial for trial in trials if trial.status == "running"]
        left = sum(10 - trial.epochs_done for trial in running) + 7 * one.states["waiting"]
        assert one.epochs_left == left
        assert one.control is not None


def test_at_the_end_nothing_is_left(tmp_path: Path) -> None:
    tuner = FakeTuner(make_space(), tmp_path / "fake", rising)
    tuner.run()
    one = progress_of(tuner)
    assert (one.states["waiting"], one.epochs_left) == (0, 0)
    assert one.best == tuner.recorder.best(EXP)


SWITCH_AT_3 = {"switch_epoch": {"choices": [3]}}


@pytest.mark.parametrize(
    ("search", "trial_epochs"),
    [(SWITCH_AT_3, 7), ({**SWITCH_AT_3, "optimizer.lr": {"choices": [n / 100 for n in range(1, 17)]}}, 10)],
    ids=["one trunk", "too many stage ones to share"],
)
def test_epochs_left_count_epochs_to_train_where_known(
    tmp_path: Path, search: dict[str, Any], trial_epochs: int
) -> None:
    totals, done = totals_along(FakeTuner(one_scenario(search), tmp_path / "fake", rising))
    assert done == 10 + 8 * trial_epochs
    assert set(totals) == {done}


def test_stage_ones_that_no_trial_has_drawn_count_no_more_in_the_end(tmp_path: Path) -> None:
    search = {"optimizer.lr": {"choices": [0.1, 0.2]}, "switch_epoch": {"choices": [5]}}
    tuner = FakeTuner(one_scenario(search, num_trials=3, seed=6), tmp_path / "fake", rising)
    totals, done = totals_along(tuner)
    assert done == 10 + 3 * 5, "all three have the control's own"
    assert (totals[0], totals[-1]) == (done + 20, done)


@pytest.mark.parametrize(
    "search",
    [
        {},
        {**SWITCH_AT_3, "optimizer.lr": {"choices": [0.1, 0.2]}},  # that of the control among them
        {**SWITCH_AT_3, "optimizer.lr": {"choices": [0.05, 0.2, 0.3]}},  # that of the control not among them
        {**SWITCH_AT_3, "optimizer.lr": {"choices": [0.05]}},
        {"optimizer.lr": {"low": 0.05, "high": 0.2}},
        {"switch_epoch": {"choices": [0, 5]}},
    ],
)
def test_no_more_epochs_are_trained_than_are_said_to_be_left(tmp_path: Path, search: dict[str, Any]) -> None:
    space = one_scenario(search, seed=1)  # with which every learning rate is drawn
    totals, done = totals_along(FakeTuner(space, tmp_path / "fake", rising, concurrent=3))
    assert min(totals) >= done


@pytest.mark.parametrize("num_epochs", [0, 4, 7])
def test_trials_of_a_control_that_failed_before_their_switch_may_train_all_epochs(
    tmp_path: Path, num_epochs: int
) -> None:
    tuner = FakeTuner(one_scenario({"switch_epoch": {"choices": [5]}}), tmp_path / "fake", rising, concurrent=1)
    totals, done = totals_along(tuner, {f"{EXP}-control": num_epochs})
    after = totals[num_epochs + 1 :]
    assert set(after) == {done}
    assert done == num_epochs + 8 * (10 if num_epochs < 5 else 5)


def test_controls_of_stage_ones_known_are_not_counted_again(tmp_path: Path) -> None:
    search = {**SWITCH_AT_3, "optimizer.lr": {"choices": [0.1, 0.2]}}
    tuner = FakeTuner(one_scenario(search), tmp_path / "fake", rising, concurrent=3)
    totals, done = totals_along(tuner)
    assert done == 2 * 10 + 8 * 7
    assert totals[0] == done + 10, "whether the scenario's own control serves trials is not known yet"
    assert totals[-30:] == [done] * 30


def test_time_left_is_unknown_before_the_first_epoch() -> None:
    assert EpochPace().seconds_left(100, 2, 5.0) is None


def test_time_left_does_not_count_the_start_of_a_session() -> None:
    """One epoch of 0.3 s after a start of 20 s, and 100 left on two workers: 15 s, not 33 minutes."""
    pace = EpochPace()
    pace.add(20.0, 0.3)
    assert pace.seconds_left(100, 2, 20.0) == pytest.approx(15.0)


def test_time_left_counts_the_time_between_epochs() -> None:
    """Epochs of 1 s that arrive every 4 s; and a stall that has lasted for 10 s."""
    pace = EpochPace()
    for number in range(11):
        pace.add(4.0 * number, 1.0)
    assert pace.seconds_left(10, 1, 40.0) == pytest.approx(40.0)
    assert pace.seconds_left(10, 1, 50.0) == pytest.approx(50.0)


def test_time_left_of_runs_that_train_together_is_right_from_their_first_epochs_on() -> None:
    pace = EpochPace()
    pace.add(60.0, 60.0)
    pace.add(60.5, 60.0)
    assert pace.seconds_left(4, 2, 60.5) == pytest.approx(120.0)


def test_epochs_that_come_together_count_each_for_the_time_left(halfway: FakeTuner) -> None:
    progress = LiveTableCallback(halfway.space, halfway.plans, halfway.recorder, terminal())
    report(progress, TrialReport(epoch_at(6), earlier=(epoch_at(3),), between=(epoch_at(4), epoch_at(5))))
    assert len(progress._pace._ended) == 3


def test_live_table_fits_80_columns_and_names_states_that_occur(halfway: FakeTuner) -> None:
    console = terminal()
    progress = LiveTableCallback(halfway.space, halfway.plans, halfway.recorder, console)
    progress.start()
    report(progress, TrialReport(epoch_at(4)))
    progress.on_step_end()
    progress.stop()
    shown = text(console)
    assert "waiting" in shown
    assert "diverged" not in shown
    assert "at most" in shown
    (line, *_) = [line for line in shown.splitlines() if line.strip().startswith(EXP)]
    control = halfway.recorder.control(EXP)
    assert control is not None
    assert f"{control.summary.metric_last:.4f}" in line


def test_time_left_counts_no_epochs_that_this_session_has_not_trained(
    halfway: FakeTuner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed control takes over many at once, and a trial that diverges reports none."""
    seconds = iter([0.0])
    monkeypatch.setattr("tune_runs.driver.live_table.time", SimpleNamespace(monotonic=lambda: next(seconds, 60.0)))
    console = terminal()
    progress = LiveTableCallback(halfway.space, halfway.plans, halfway.recorder, console)
    report(progress, TrialReport(dataclasses.replace(epoch_at(9), is_inherited=True)))
    report(progress, TrialReport(divergence="no finite loss"))
    progress.start()
    progress.stop()
    assert "1:00 elapsed\n" in text(console)
    report(progress, TrialReport(epoch_at(9), earlier=tuple(map(epoch_at, range(9)))))
    progress.start()
    progress.stop()
    counted = [progress_of(halfway, name) for name in (EXP, STEP)]
    duration = epoch_record(9, 0.5).train_s + epoch_record(9, 0.5).val_s
    left = duration * sum(one.epochs_left for one in counted) / sum(one.num_running for one in counted)
    assert f"1:00 elapsed, at most about {clock_text(left)} left" in text(console)


def test_drawing_and_the_end_of_a_trial_list_no_points(halfway: FakeTuner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to 2,000 for each scenario would be listed at every redraw."""

    def listed(*_: object) -> None:
        raise AssertionError("points are listed")

    monkeypatch.setattr("tune_runs.space.distinct_points.active_values", listed)
    monkeypatch.setattr("tune_runs.space.distinct_points.distinct_points", listed)
    for console in (terminal(), Console(file=io.StringIO())):
        progress = LiveTableCallback(halfway.space, halfway.plans, halfway.recorder, console)
        progress.start()
        progress.on_trial_complete(
            trial=SimpleNamespace(config=next(iter(halfway.searcher.plans.values())).task.to_ray_config())
        )
        progress.stop()


def test_time_left_is_within_the_time_budget(halfway: FakeTuner, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.0])
    monkeypatch.setattr("tune_runs.driver.live_table.time", SimpleNamespace(monotonic=lambda: next(seconds, 60.0)))
    console = terminal()
    space = halfway.space.model_copy(update={"time_budget": 61.0})
    progress = LiveTableCallback(space, halfway.plans, halfway.recorder, console)
    slow = dataclasses.replace(epoch_record(9, 0.5), train_s=100.0)
    report(progress, TrialReport(ReportedEpoch(slow)))
    progress.start()
    progress.stop()
    assert "1:00 elapsed, at most about 0:01 left" in text(console)


def test_off_a_terminal_every_end_of_a_trial_is_a_line_that_counts_search_trials(tmp_path: Path) -> None:
    """Each of several stage ones has a control, unknown beforehand: controls do not change the total."""
    tuner = FakeTuner(one_scenario({"optimizer.lr": {"choices": [0.1, 0.2]}}), tmp_path / "fake", rising)
    progress = LiveTableCallback(tuner.space, tuner.plans, tuner.recorder, Console(file=(out := io.StringIO())))
    told: set[str] = set()
    for trial_id in tuner.results({}):
        if tuner.recorder.trials[trial_id].status == "completed":
            progress.on_trial_complete(trial=ray_trial(trial_id))
            told.add(trial_id)
    lines = out.getvalue().splitlines()
    assert len(lines) == len(told) == 8 + 2
    assert f"[0/8] {EXP}-control completed after 10 of 10 epochs, val_accuracy 0.0000" in lines
    ends = [line.split()[0] for line in lines if "control" not in line]
    assert ends == [f"[{number}/8]" for number in range(1, 9)]


def epoch_at(epoch: int) -> ReportedEpoch:
    return ReportedEpoch(epoch_record(epoch, 0.5))


def ray_trial(trial_id: str) -> SimpleNamespace:
    (scenario, *_) = make_space().scenario_list
    task = TrialTask(trial_id, EXP, "images", control_config(make_space(), scenario))
    return SimpleNamespace(config=task.to_ray_config())


def report(progress: LiveTableCallback, content: TrialReport) -> None:
    progress.on_trial_result(trial=ray_trial(f"{EXP}-0000"), result=content.to_result())


def test_unfinished_control_shows_its_status_not_a_score(halfway: FakeTuner) -> None:
    halfway.recorder.trials[f"{EXP}-control"].status = "interrupted"
    console = terminal(120)
    print_summary(halfway.space, halfway.recorder, console)
    (line,) = [line for line in text(console).splitlines() if line.strip().startswith(EXP)]
    assert "interrupted" in line


def test_summary_names_the_searched_parameters(halfway: FakeTuner) -> None:
    console = terminal(120)
    print_summary(halfway.space, halfway.recorder, console)
    for word in ("lam", "gamma", "ab_alpha", "switch_epoch", "trials.parquet", "epochs.parquet"):
        assert word in text(console)


def test_lost_process_is_reported_and_is_not_a_failure(tmp_path: Path) -> None:
    tuner = FakeTuner(one_scenario({"switch_epoch": {"choices": [5]}}), tmp_path / "fake", rising, concurrent=1)
    console = terminal(120)
    progress = LiveTableCallback(tuner.space, tuner.plans, tuner.recorder, console)
    told = tuner.search.callbacks[0].on_trial_error

    def both(**arguments: Any) -> None:
        told(**arguments)
        progress.on_trial_error(**arguments)

    tuner.search.callbacks[0].on_trial_error = both  # type: ignore[method-assign]
    tuner.run(loses={f"{EXP}-0001": [1]}, fails={f"{EXP}-0002": 0})
    said = text(console)
    assert f"note: {EXP}-0001: its process was lost; it continues in another one" in said
    assert f"trial {EXP}-0001 failed" not in said
    assert f"trial {EXP}-0002 failed: Boom" in said


def test_confirmation_has_a_column_and_its_epochs_count(tmp_path: Path) -> None:
    confirm = {"max_pairs": 2, "controls": ["ce", "cb-ce-drw"]}
    space = one_scenario(SWITCH_AT_3, num_trials=2, early_stopping=None, confirm=confirm)
    tuner = FakeTuner(space, tmp_path / "fake", rising, concurrent=1)
    lines = LiveTableCallback(
        space, tuner.plans, tuner.recorder, Console(file=(out := io.StringIO())), tuner.confirmations
    )
    plan, expected = tuner.plans[EXP], confirm_cost(space, tuner.plans[EXP]).epochs
    totals = []
    for _ in tuner.results({}):
        one = scenario_progress(space, tuner.recorder, plan, tuner.confirmations[EXP], expected)
        totals.append(one.epochs_done + one.epochs_left)
        text = rendered(live_table(space, [one], 1.0, 1.0))
        assert ("confirmed" in text) == (one.confirmed is not None)
    assert max(totals) == 10 + 2 * 7 + 2 * (10 + 7 + 7)
    assert totals == sorted(totals, reverse=True), "the most that is left never grows"
    assert one.confirmed == (6, 6)
    assert "6/6" in text
    last = list(tuner.recorder.trials)[-1]
    lines.on_trial_complete(trial=ray_trial(last))
    assert out.getvalue().startswith(
        f"[confirmed 6/6] {last} (cb-ce-drw) completed after 10 of 10 epochs (3 inherited)"
    )


def test_further_pairs_have_a_column_and_their_epochs_count(tmp_path: Path) -> None:
    space = one_scenario(SWITCH_AT_3, num_trials=4, early_stopping=None, seeds={"pairs": 2, "reduction_factor": 2})
    tuner = FakeTuner(space, tmp_path / "fake", rising, concurrent=1)
    pairs = tuner.searcher.further_pairs
    lines = LiveTableCallback(space, tuner.plans, tuner.recorder, Console(file=(out := io.StringIO())), pairs=pairs)
    totals = []
    for _ in tuner.results({}):
        one = scenario_progress(space, tuner.recorder, tuner.plans[EXP], pairs=pairs[EXP])
        totals.append(one.epochs_done + one.epochs_left)
        text = rendered(live_table(space, [one], 1.0, 1.0))
        assert "on pairs" in text
    assert set(totals) == {10 + 4 * 7 + 10 + 2 * 7}
    assert "2/2" in text
    last = list(tuner.recorder.trials)[-1]
    lines.on_trial_complete(trial=ray_trial(last))
    assert out.getvalue().startswith(f"[on pairs 2/2] {last} completed after 10 of 10 epochs (3 inherited)")


def rendered(table: Any) -> str:
    console = Console(width=80, file=io.StringIO())
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
