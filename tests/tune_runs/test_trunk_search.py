"""How a search shares stage one: who trains trunks, who waits for them, what a resume finds; on curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from absgd.config import RunConfig
from tests.tune_runs.fake_tuner import SPACE, FakeTuner, make_space, rising
from tests.tune_runs.test_search import EXP, STEP, epochs, trials

ONE: dict[str, Any] = {"scenarios": SPACE["scenarios"][:1], "early_stopping": None}


def test_without_stopping_a_search_costs_trunk_and_stage_twos(tmp_path: Path) -> None:
    FakeTuner(make_space(early_stopping=None), tmp_path / "fake", rising).run()
    frame = trials(tmp_path / "fake")
    search = frame.query("phase == 'search'")
    assert frame.query("phase == 'control'").epochs_trained.eq(10).all()
    assert (search.epochs_trained == 10 - search.switch_epoch).all()
    assert (search.epochs_inherited == search.switch_epoch).all()


def test_inherited_epochs_are_the_controls(tmp_path: Path) -> None:
    FakeTuner(make_space(**ONE), tmp_path / "fake", rising).run()
    rows = epochs(tmp_path / "fake")
    control = rows[rows.trial_id == f"{EXP}-control"].set_index("epoch")
    inherited = rows[rows.inherited]
    assert inherited.groupby("trial_id").size().eq(trials(tmp_path / "fake").switch_epoch.dropna().to_numpy()).all()
    assert (inherited.val_loss.to_numpy() == control.val_loss.loc[inherited.epoch].to_numpy()).all()


def test_no_trial_starts_before_its_control_has_passed_its_switch(tmp_path: Path) -> None:
    tuner = FakeTuner(make_space(**ONE), tmp_path / "fake", rising, concurrent=4)
    started: list[tuple[int, int]] = []
    start = tuner.recorder.start

    def spy(plan: Any, earlier: Any = ()) -> None:
        control = tuner.recorder.epochs.get(f"{EXP}-control", [])
        if plan.phase == "search":
            started.append((plan.config.attention.switch_epoch, len(control)))
        start(plan, earlier)

    tuner.recorder.start = spy  # type: ignore[method-assign]
    tuner.run()
    assert len(started) == 8
    assert all(passed >= switch for switch, passed in started)
    assert min(passed for _, passed in started) < 10, "some started while the control went on"


def test_each_stage_one_has_a_control_of_its_own(tmp_path: Path) -> None:
    search = {**SPACE["search"], "optimizer.lr": {"choices": [0.1, 0.2]}}
    FakeTuner(make_space(**ONE, search=search), tmp_path / "fake", rising, concurrent=3).run()
    frame = trials(tmp_path / "fake")
    controls = frame.query("phase == 'control'")
    assert sorted(controls.lr) == [0.1, 0.2]
    assert controls.trial_id.is_unique
    assert (controls.trial_id == f"{EXP}-control").sum() == 1
    assert controls.stage_one_key.is_unique
    search_rows = frame.query("phase == 'search'")
    assert len(search_rows) == 8
    assert search_rows.groupby("lr").stage_one_key.nunique().eq(1).all()
    assert (search_rows.epochs_inherited == search_rows.switch_epoch).all()


def test_gains_count_from_the_scenarios_own_control_whatever_the_stage_one(tmp_path: Path) -> None:
    """What a trial gains over a poor stage one is no reason to keep it."""

    def by_lr(config: RunConfig, epoch: int) -> float:
        return config.optimizer.lr + (0.01 if config.attention else 0.0)

    search = {**SPACE["search"], "optimizer.lr": {"choices": [0.1, 0.2]}}
    stopping = {"rule": "advantage", "grace_period": 1, "reduction_factor": 2}
    space = make_space(**{**ONE, "early_stopping": stopping}, search=search)
    tuner = FakeTuner(space, tmp_path / "fake", by_lr)
    tuner.run()
    own_lr = tuner.recorder.trials[f"{EXP}-control"]["lr"]
    lrs = trials(tmp_path / "fake").set_index("trial_id").lr
    scores = {one for at_rung in tuner.scheduler.scenarios[EXP].scores.values() for one in at_rung.items()}
    assert {lrs[trial_id] for trial_id, _ in scores} == {0.1, 0.2}
    for trial_id, gain in scores:
        assert gain == pytest.approx(lrs[trial_id] - own_lr + 0.01)


def test_continuous_stage_ones_train_from_scratch(tmp_path: Path) -> None:
    search = {**SPACE["search"], "optimizer.lr": {"low": 0.05, "high": 0.2}}
    FakeTuner(make_space(**ONE, search=search), tmp_path / "fake", rising).run()
    frame = trials(tmp_path / "fake")
    assert frame.epochs_trained.eq(10).all()
    assert len(frame) == 9
    assert not list((tmp_path / "fake").rglob("*.pt"))


def test_switch_at_the_first_epoch_needs_no_trunk(tmp_path: Path) -> None:
    search = {**SPACE["search"], "switch_epoch": {"choices": [0]}}
    FakeTuner(make_space(**ONE, search=search), tmp_path / "fake", rising, concurrent=9).run()
    assert trials(tmp_path / "fake").epochs_trained.eq(10).all()


@pytest.mark.parametrize("stop_after", [3, 5, 9])
def test_control_cut_in_the_middle_goes_on_from_its_last_snapshot(tmp_path: Path, stop_after: int) -> None:
    folder = tmp_path / "fake"
    first = FakeTuner(make_space(**ONE), folder, rising, concurrent=1)
    first.run(stop_after_results=stop_after)
    second = FakeTuner(make_space(**ONE), folder, rising, concurrent=1)
    reported: list[int] = []
    add_epoch = second.recorder.add_epoch

    def spy(trial_id: str, record: Any) -> None:
        if trial_id.endswith("control"):
            reported.append(record["epoch"])
        add_epoch(trial_id, record)

    second.recorder.add_epoch = spy  # type: ignore[method-assign]
    second.run()
    assert reported == list(range(min(stop_after, 5), 10))  # snapshots lie after 3, 4, 5 and 10 epochs
    control = trials(folder).set_index("trial_id").loc[f"{EXP}-control"]
    assert (control.epochs_trained, control.epochs_inherited) == (10, 0), "this search trained all of it"


@pytest.mark.parametrize("rule", [None, "epoch", "age", "advantage", "median"])
def test_failed_control_costs_its_trials_stage_one_only(tmp_path: Path, rule: str | None) -> None:
    space = make_space(**{**ONE, "early_stopping": {"rule": rule} if rule else None})
    tuner = FakeTuner(space, tmp_path / "fake", rising)
    tuner.run(fails=(f"{EXP}-control",))
    frame = trials(tmp_path / "fake").set_index("trial_id")
    assert frame.loc[f"{EXP}-control", "status"] == "failed"
    search = frame.query("phase == 'search'")
    assert set(search.status) <= {"completed", "pruned"}
    assert search.epochs_inherited.eq(0).all()
    assert (search.status == "completed").any()


def test_trials_of_a_control_that_diverged_in_stage_one_diverge_too(tmp_path: Path) -> None:
    def breaks(config: RunConfig, epoch: int) -> float | None:
        return None if epoch == 4 else rising(config, epoch)

    FakeTuner(make_space(**ONE), tmp_path / "fake", breaks).run()
    frame = trials(tmp_path / "fake")
    assert set(frame.status) == {"diverged"}
    assert (frame.epochs_trained + frame.epochs_inherited == 4).all()


def test_trunks_in_a_shared_folder_serve_a_second_search(tmp_path: Path) -> None:
    for name in ("first", "second"):
        FakeTuner(make_space(), tmp_path / name, rising, trunks=tmp_path / "trunks").run()
    second = trials(tmp_path / "second").query("phase == 'control'")
    assert set(second.scenario) == {EXP, STEP}
    assert (second.epochs_inherited == 10).all()
    assert set(second.status) == {"completed"}
    assert second.metric_last.notna().all()


def test_snapshot_that_vanished_is_made_up_for(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    first = FakeTuner(make_space(**ONE), folder, rising, concurrent=1)
    first.run(stop_after_results=12)
    for file in folder.rglob("epoch-0005.pt"):
        file.unlink()
    FakeTuner(make_space(**ONE), folder, rising, concurrent=1).run()
    frame = trials(folder).query("phase == 'search' and switch_epoch == 5")
    late = frame[frame.epochs_inherited == 4]
    assert len(late) > 0
    assert (late.epochs_trained == 6).all()
    whole = epochs(folder).groupby("trial_id").epoch.apply(list)
    assert whole.map(lambda found: found == list(range(10))).all()


def test_epoch_that_is_trained_again_replaces_its_row(tmp_path: Path) -> None:
    tuner = FakeTuner(make_space(**ONE), tmp_path / "fake", rising)
    tuner.run()
    recorder, trial_id = tuner.recorder, f"{EXP}-0000"
    again = {**recorder.epochs[trial_id][7], "val_accuracy": 0.123}
    recorder.add_epoch(trial_id, again)
    recorder.flush()
    rows = pd.read_parquet(tmp_path / "fake" / "epochs.parquet").query("trial_id == @trial_id")
    assert list(rows.epoch) == list(range(8))
    assert rows.val_accuracy.iloc[-1] == 0.123
