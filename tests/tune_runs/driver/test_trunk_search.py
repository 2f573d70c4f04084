"""Shared stage one on curves: runs that train trunks, trials that wait for them, and a resume."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from absgd.config import RunConfig
from tests.support.fake_searches import EXP, STEP, epochs, trials
from tests.support.fake_tuner import SPACE, FakeTuner, make_space, rising

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

    def spy(plan: Any) -> None:
        control = tuner.recorder.epochs.get(f"{EXP}-control", [])
        if plan.phase == "search":
            started.append((plan.config.attention.switch_epoch, len(control)))
        start(plan)

    tuner.recorder.start = spy  # type: ignore[method-assign]
    tuner.run()
    assert len(started) == 8
    assert all(passed >= switch for switch, passed in started)
    assert min(passed for _, passed in started) < 10, "some started while the control went on"


def test_each_stage_one_has_its_own_control(tmp_path: Path) -> None:
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
    """A gain over a poor stage one is no reason to keep a trial."""

    def by_lr(config: RunConfig, epoch: int) -> float:
        return config.optimizer.lr + (0.01 if config.attention else 0.0)

    search = {**SPACE["search"], "optimizer.lr": {"choices": [0.1, 0.2]}}
    stopping = {"rule": "advantage", "grace_period": 1, "reduction_factor": 2}
    space = make_space(**{**ONE, "early_stopping": stopping}, search=search)
    tuner = FakeTuner(space, tmp_path / "fake", by_lr)
    tuner.run()
    own_lr = tuner.recorder.trials[f"{EXP}-control"].settings["lr"]
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
    assert not list((tmp_path / "fake").rglob("trunks/**/*.pt"))


def test_switch_at_the_first_epoch_needs_no_trunk(tmp_path: Path) -> None:
    search = {**SPACE["search"], "switch_epoch": {"choices": [0]}}
    FakeTuner(make_space(**ONE, search=search), tmp_path / "fake", rising, concurrent=9).run()
    assert trials(tmp_path / "fake").epochs_trained.eq(10).all()


@pytest.mark.parametrize("stop_after", [3, 5, 9])
def test_interrupted_control_resumes_from_its_last_epoch(tmp_path: Path, stop_after: int) -> None:
    folder = tmp_path / "fake"
    first = FakeTuner(make_space(**ONE), folder, rising, concurrent=1)
    first.run(stop_after_results=stop_after)
    second = FakeTuner(make_space(**ONE), folder, rising, concurrent=1)
    reported: list[int] = []
    add = second.recorder.add

    def spy(trial_id: str, report: Any) -> None:
        if trial_id.endswith("control"):
            reported.append(report.epoch.record.epoch)
        add(trial_id, report)

    second.recorder.add = spy  # type: ignore[method-assign]
    second.run()
    assert reported == list(range(stop_after - 1, 10)), "the last one again, since its end may not be recorded"
    control = trials(folder).set_index("trial_id").loc[f"{EXP}-control"]
    assert (control.epochs_trained, control.epochs_inherited) == (10, 0), "this search trained all of it"


@pytest.mark.parametrize("rule", [None, "asha", "age", "advantage", "median"])
def test_failed_control_costs_its_trials_stage_one_only(tmp_path: Path, rule: str | None) -> None:
    space = make_space(**{**ONE, "early_stopping": {"rule": rule} if rule else None})
    tuner = FakeTuner(space, tmp_path / "fake", rising)
    tuner.run(fails={f"{EXP}-control": 0})
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


def test_snapshot_that_vanishes_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    tuner = FakeTuner(make_space(**ONE), folder, rising, concurrent=1)
    for number, _ in enumerate(tuner.results({})):
        if number == 12:
            snapshot(folder, 5).unlink()
    late = trials(folder).query("phase == 'search' and switch_epoch == 5")
    made_up_for = late[late.epochs_inherited == 4]
    assert len(made_up_for) > 0
    assert (made_up_for.epochs_trained == 6).all()
    assert "starts after 4 epochs instead of 5" in tuner.notes
    assert are_whole(folder)


def test_snapshot_missing_at_a_resume_is_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(make_space(**ONE), folder, rising, concurrent=1).run(stop_after_results=12)
    snapshot(folder, 5).unlink()
    FakeTuner(make_space(**ONE), folder, rising, concurrent=1).run()
    frame = trials(folder)
    assert snapshot(folder, 5).exists()
    assert (frame.epochs_inherited == frame.switch_epoch.fillna(0)).all()
    assert are_whole(folder)


def test_control_killed_at_a_snapshot_writes_it_although_its_checkpoint_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(make_space(**ONE), folder, rising, concurrent=1).run(stop_after_results=5)
    damaged = snapshot(folder, 5)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    tuner = FakeTuner(make_space(**ONE), folder, rising, concurrent=1)
    tuner.run()
    frame = trials(folder)
    assert (frame.epochs_inherited == frame.switch_epoch.fillna(0)).all()
    assert not any("instead of" in note for note in tuner.notes)


def test_trials_wait_for_snapshots_that_are_made_again_not_for_recorded_epochs(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(make_space(**{**ONE, "num_trials": 4}), folder, rising).run()
    shutil.rmtree(next(folder.rglob("trunks/*/")).parent)
    FakeTuner(make_space(**ONE), folder, rising, concurrent=3).run(stop_after_results=3)
    tuner = FakeTuner(make_space(**ONE), folder, rising, concurrent=3)
    tuner.run()
    frame = trials(folder)
    assert len(frame) == 9
    assert (frame.epochs_inherited == frame.switch_epoch.fillna(0)).all()
    assert not any("instead of" in note for note in tuner.notes)


@pytest.mark.parametrize("kind", ["damaged", "foreign"])
def test_unusable_snapshot_is_named_and_written_again(tmp_path: Path, kind: str) -> None:
    FakeTuner(make_space(**ONE), tmp_path / "first", rising, trunks=tmp_path / "trunks").run()
    unusable = snapshot(tmp_path, 4)
    if kind == "damaged":
        unusable.write_bytes(unusable.read_bytes()[:-1])
    else:
        unusable.write_bytes(snapshot(tmp_path, 3).read_bytes())
    second = FakeTuner(make_space(**ONE), tmp_path / "second", rising, trunks=tmp_path / "trunks")
    second.run()
    (note,) = second.notes
    assert str(unusable) in note
    assert note.endswith(": trained again")
    control = trials(tmp_path / "second").query("phase == 'control'").iloc[0]
    assert (control.epochs_inherited, control.epochs_trained) == (3, 7)


def test_trials_may_fork_behind_the_end_of_a_control_that_failed(tmp_path: Path) -> None:
    """With snapshots of another search the failed control itself has three epochs, its trials' records all ten."""
    trunks = tmp_path / "trunks"
    FakeTuner(make_space(**ONE), tmp_path / "first", rising, trunks=trunks).run()
    snapshot(tmp_path, 3).unlink()
    second = FakeTuner(make_space(**ONE), tmp_path / "second", rising, trunks=trunks)
    second.run(fails={f"{EXP}-control": 3})
    frame = trials(tmp_path / "second")
    control, search = frame.query("phase == 'control'").iloc[0], frame.query("phase == 'search'")
    assert (control.status, control.epochs_trained) == ("failed", 3)
    assert set(search.status) == {"completed"}
    assert (search.epochs_inherited == search.switch_epoch).all()
    whole = epochs(tmp_path / "second").query("trial_id != @control.trial_id")
    assert whole.groupby("trial_id").epoch.apply(list).map(lambda found: found == list(range(10))).all()


def test_failed_control_is_tried_again_by_a_resume(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    first = FakeTuner(make_space(**ONE), folder, rising, concurrent=1)
    for number, _ in enumerate(first.results({f"{EXP}-control": 4})):
        if number == 10:
            break
    second = FakeTuner(make_space(**ONE), folder, rising, concurrent=1)
    second.run()
    frame = trials(folder).set_index("trial_id")
    control = frame.loc[f"{EXP}-control"]
    assert (control.status, control.epochs_trained) == ("completed", 10)
    later = frame[(frame.phase == "search") & (frame.number > 3)]
    assert (later.epochs_inherited == later.switch_epoch).all()


def test_searches_at_the_same_time_share_a_trunk_also_when_one_is_killed(tmp_path: Path) -> None:
    tuners = [
        FakeTuner(make_space(**{**ONE, "seed": seed}), tmp_path / name, rising, trunks=tmp_path / "trunks")
        for seed, name in enumerate(("killed", "whole"))
    ]
    killed, whole = (tuner.results({}) for tuner in tuners)
    for number, _ in enumerate(whole):
        if number < 9:
            next(killed)
    frame = trials(tmp_path / "whole")
    assert set(frame.status) == {"completed"}
    assert (frame.epochs_inherited == frame.switch_epoch.fillna(0)).all()
    assert are_whole(tmp_path / "whole")
    assert not tuners[1].notes


def test_images_are_fingerprinted_once_for_a_scenario(tmp_path: Path) -> None:
    tuner = FakeTuner(make_space(early_stopping=None), tmp_path / "fake", rising)
    tuner.run()
    assert tuner.fingerprints == 2


def snapshot(folder: Path, epoch: int) -> Path:
    """Return the file of the only trunk below a folder."""
    (trunk,) = folder.rglob("trunks/*/")
    return trunk / f"epoch-{epoch:04d}.pt"


def are_whole(folder: Path) -> bool:
    """Whether every trial has a record of each epoch, in order."""
    found = epochs(folder).groupby("trial_id").epoch.apply(list)
    return bool(found.map(lambda row: row == list(range(10))).all())
