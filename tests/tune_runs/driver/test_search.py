"""Searcher, scheduler and recorder together, on curves instead of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from absgd.config import RunConfig
from absgd.errors import UserError
from tests.support.fake_searches import EXP, STEP, epochs, study_trials, trials
from tests.support.fake_tuner import FakeTuner, make_space, rising
from tune_runs.stopping.rungs import early_stopping


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> FakeTuner:
    tuner = FakeTuner(make_space(), tmp_path_factory.mktemp("runs") / "fake", rising)
    tuner.run()
    return tuner


def test_every_scenario_gets_its_trials_and_one_control(searched: FakeTuner) -> None:
    frame = trials(searched.recorder.folder)
    counts = frame.groupby(["scenario", "phase"]).size().to_dict()
    assert counts == {(EXP, "control"): 1, (EXP, "search"): 8, (STEP, "control"): 1, (STEP, "search"): 8}
    assert list(frame.phase[:2]) == ["control", "control"]
    controls = frame[frame.phase == "control"]
    assert set(controls.loss) == {"ce"}
    assert controls.lam.isna().all()
    assert set(controls.status) == {"completed"}
    assert controls.number.isna().all()


def test_scenarios_take_turns(searched: FakeTuner) -> None:
    order = list(trials(searched.recorder.folder).scenario[2:])
    assert all(abs(order[:n].count(EXP) - order[:n].count(STEP)) <= 1 for n in range(len(order)))


def test_stopped_trials_are_pruned_in_the_study_with_their_last_value(searched: FakeTuner) -> None:
    frame = trials(searched.recorder.folder).query("phase == 'search'").set_index("trial_id")
    pruned = 0
    for scenario in (EXP, STEP):
        for trial in study_trials(searched.recorder.folder, scenario):
            row = frame.loc[f"{scenario}-{trial.number:04d}"]
            state = {TrialState.COMPLETE: "completed", TrialState.PRUNED: "pruned"}[trial.state]
            assert row.status == state
            assert trial.user_attrs["status"] == state
            assert trial.intermediate_values[row.epochs_trained + row.epochs_inherited - 1] == row.metric_last
            assert len(trial.intermediate_values) == row.epochs_trained
            pruned += state == "pruned"
    assert pruned > 0


def test_no_trial_is_stopped_before_the_latest_switch(searched: FakeTuner) -> None:
    rungs = early_stopping(searched.space).rungs
    assert rungs == (6, 7, 9)
    stopped = trials(searched.recorder.folder).query("status == 'pruned'")
    assert set(stopped.epochs_trained + stopped.epochs_inherited) <= set(rungs)


def test_each_scenario_has_its_own_rungs(tmp_path: Path) -> None:
    """Trials of the scenario with low values would all be stopped if compared with those of the other scenario."""

    def far_apart(config: RunConfig, epoch: int) -> float:
        return rising(config, epoch) + (0.8 if config.imbalance.type == "exp" else 0.0)

    tuner = FakeTuner(make_space(), tmp_path / "fake", far_apart)
    tuner.run()
    done = trials(tmp_path / "fake").query("phase == 'search' and status == 'completed'")
    assert done.groupby("scenario").size().min() >= 1


def test_tables_hold_every_epoch_and_only_columns(searched: FakeTuner) -> None:
    frame, rows = trials(searched.recorder.folder), epochs(searched.recorder.folder)
    assert (frame.epochs_trained + frame.epochs_inherited).sum() == len(rows)
    assert rows.groupby("trial_id").epoch.apply(lambda column: list(column) == list(range(len(column)))).all()
    switch = rows.trial_id.map(frame.set_index("trial_id").switch_epoch)
    assert (rows.inherited == (rows.epoch < switch)).all()  # no epoch where there is no switch
    assert "pid" not in rows.columns
    assert rows.val_recall.map(len).eq(10).all()


def test_best_is_the_best_last_epoch_of_completed_trials(searched: FakeTuner) -> None:
    frame = trials(searched.recorder.folder).query("phase == 'search' and status == 'completed'")
    for scenario in (EXP, STEP):
        best = frame[frame.scenario == scenario].sort_values("metric_last").iloc[-1]
        written = RunConfig.from_yaml(searched.recorder.folder / "best" / f"{scenario}.yaml")
        assert written.attention is not None
        assert (written.attention.gamma, written.attention.lam) == (best.gamma, best.lam)
        assert written.device.threads == 1


def test_a_trial_that_was_better_once_does_not_win(tmp_path: Path) -> None:
    def peaked(config: RunConfig, epoch: int) -> float:
        gamma = config.attention.gamma if config.attention else 0.5
        return 0.99 if gamma < 0.4 and epoch == 8 else gamma

    tuner = FakeTuner(make_space(early_stopping=None), tmp_path / "fake", peaked)
    tuner.run()
    best = tuner.recorder.best(EXP)
    assert best is not None
    assert (
        best.summary.metric_last
        == best.settings["gamma"]
        == trials(tmp_path / "fake").query("scenario == @EXP").gamma.max()
    )


def test_metric_that_is_better_when_smaller(tmp_path: Path) -> None:
    tuner = FakeTuner(make_space(metric="val_loss"), tmp_path / "fake", rising)
    tuner.run()
    best = tuner.recorder.best(EXP)
    done = trials(tmp_path / "fake").query("scenario == @EXP and phase == 'search' and status == 'completed'")
    assert best is not None
    assert best.summary.metric_last == done.metric_last.min()


def test_without_early_stopping_every_trial_trains_to_the_end(tmp_path: Path) -> None:
    tuner = FakeTuner(make_space(early_stopping=None), tmp_path / "fake", rising)
    tuner.run()
    assert set(trials(tmp_path / "fake").status) == {"completed"}
    assert tuner.most_live == 2


def test_diverged_trial_is_recorded_and_pruned_in_the_study(tmp_path: Path) -> None:
    def breaks(config: RunConfig, epoch: int) -> float | None:
        return None if config.attention and config.attention.gamma > 0.5 and epoch == 4 else rising(config, epoch)

    FakeTuner(make_space(), tmp_path / "fake", breaks).run()
    frame = trials(tmp_path / "fake").query("status == 'diverged'")
    assert len(frame) > 0
    assert (frame.gamma > 0.5).all()
    assert (frame.epochs_trained + frame.epochs_inherited == 4).all()
    assert frame.error.str.startswith("non-finite").all()
    states = {trial.number: trial.state for trial in study_trials(tmp_path / "fake", EXP)}
    assert all(states[row.number] == TrialState.PRUNED for row in frame[frame.scenario == EXP].itertuples())


def test_a_trial_that_diverges_in_its_first_own_epoch_has_the_controls_curve(tmp_path: Path) -> None:
    FakeTuner(make_space(num_trials=2), tmp_path / "fake", lambda config, _: None if config.attention else 0.5).run()
    frame = trials(tmp_path / "fake").query("phase == 'search'")
    assert set(frame.status) == {"diverged"}
    assert (frame.epochs_trained == 0).all()
    assert (frame.epochs_inherited == frame.switch_epoch).all()
    assert (frame.metric_last == 0.5).all()
    assert not (tmp_path / "fake" / "best").exists()


def test_a_trial_that_diverges_at_once_has_a_row_without_values(tmp_path: Path) -> None:
    search = {**make_space().to_dict()["search"], "switch_epoch": {"choices": [0]}}
    space = make_space(search=search, num_trials=2, early_stopping=None)
    FakeTuner(space, tmp_path / "fake", lambda config, _: None if config.attention else 0.5).run()
    frame = trials(tmp_path / "fake").query("phase == 'search'")
    assert set(frame.status) == {"diverged"}
    assert frame.metric_last.isna().all()


def test_failed_trial_keeps_its_error_and_the_others_continue(tmp_path: Path) -> None:
    tuner = FakeTuner(make_space(), tmp_path / "fake", rising)
    tuner.run(fails={f"{EXP}-0003": 0})
    frame = trials(tmp_path / "fake").set_index("trial_id")
    assert (frame.loc[f"{EXP}-0003", "status"], frame.loc[f"{EXP}-0003", "error"]) == ("failed", "Boom")
    assert (frame.status != "failed").sum() == len(frame) - 1
    assert study_trials(tmp_path / "fake", EXP)[3].state == TrialState.FAIL


def test_known_good_points_come_first(tmp_path: Path) -> None:
    point: dict[str, Any] = {"lam": 5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 4}
    FakeTuner(make_space(enqueue=[point]), tmp_path / "fake", rising).run()
    for scenario in (EXP, STEP):
        assert study_trials(tmp_path / "fake", scenario)[0].params == point


def test_same_seed_same_trials_and_another_seed_others(tmp_path: Path) -> None:
    drawn = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        FakeTuner(make_space(seed=seed), tmp_path / name, rising).run()
        drawn[name] = [trial.params for trial in study_trials(tmp_path / name, EXP)]
    assert drawn["a"] == drawn["b"] != drawn["c"]
    assert drawn["a"] != [trial.params for trial in study_trials(tmp_path / "a", STEP)]


@pytest.mark.parametrize("stop_after", [0, 3, 17, 25, 40, 70])
def test_interrupted_search_resumes_and_repeats_nothing_finished(tmp_path: Path, stop_after: int) -> None:
    folder = tmp_path / "fake"
    first = FakeTuner(make_space(), folder, rising)
    first.run(stop_after_results=stop_after)
    first.recorder.finish_running("interrupted")
    finished = trials(folder).query("status not in ('running', 'interrupted')").set_index("trial_id")
    second = FakeTuner(make_space(), folder, rising)
    second.run()
    after = trials(folder).set_index("trial_id")
    assert after.loc[finished.index, "metric_last"].equals(finished.metric_last)
    assert after.groupby(["scenario", "phase"]).size().to_dict() == {
        (EXP, "control"): 1,
        (EXP, "search"): 8,
        (STEP, "control"): 1,
        (STEP, "search"): 8,
    }
    assert set(after.status) <= {"completed", "pruned"}
    assert len(epochs(folder)) == (after.epochs_trained + after.epochs_inherited).sum()
    assert all(trial.state.is_finished() for name in (EXP, STEP) for trial in study_trials(folder, name))


def test_unfinished_trials_resume_under_their_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    first = FakeTuner(make_space(), folder, rising)
    first.run(stop_after_results=25)
    cut = [trial for trial in study_trials(folder, EXP) if trial.state == TrialState.RUNNING]
    assert cut
    FakeTuner(make_space(), folder, rising).run()
    again = study_trials(folder, EXP)
    assert len(again) == 8
    for trial in cut:
        assert again[trial.number].state.is_finished()
        assert again[trial.number].params == trial.params


def test_rungs_are_rebuilt_from_the_records(tmp_path: Path) -> None:
    """After a resume a poor trial is stopped at the first rung, as without the interruption."""
    folder = tmp_path / "fake"
    first = FakeTuner(make_space(num_trials=6), folder, rising, concurrent=1)
    first.run(stop_after_results=45)
    first.recorder.tables.flush()
    finished = trials(folder).query("phase == 'search' and status != 'running'")
    assert finished.groupby("scenario").size().between(2, 5).all()
    resumed = FakeTuner(make_space(num_trials=6), folder, rising)
    resumed_first_rung = early_stopping(resumed.space).rungs[0]
    resumed.curve = lambda *_: 0.0
    before = trials(folder)
    already = before.trial_id
    resumed.run()
    after = trials(folder)
    poor = after[~after.trial_id.isin(already) & (after.phase == "search")]
    poor = poor.groupby("scenario").head(1)  # later ones are compared with equally poor trials
    assert len(poor) == 2
    assert set(poor.status) == {"pruned"}
    assert set(poor.epochs_trained + poor.epochs_inherited) == {resumed_first_rung}


def test_interrupted_search_draws_the_same_trials_as_an_uninterrupted_one(tmp_path: Path) -> None:
    """One trial at a time, none stopped: every parameter that is drawn is the same."""
    space = make_space(early_stopping=None, num_trials=7)
    FakeTuner(space, tmp_path / "whole", rising, concurrent=1).run()
    first = FakeTuner(space, tmp_path / "parts", rising, concurrent=1)
    first.run(stop_after_results=55)
    FakeTuner(space, tmp_path / "parts", rising, concurrent=1).run()

    def drawn(name: str) -> list[tuple[Any, ...]]:
        columns = ["lam", "gamma", "ab_alpha", "switch_epoch", "metric_last"]
        frame = trials(tmp_path / name).query("phase == 'search'")
        return sorted(frame[columns].itertuples(index=False, name=None))

    assert drawn("parts") == drawn("whole")


def test_best_file_is_written_again_when_a_kill_lost_it(tmp_path: Path) -> None:
    tuner = FakeTuner(make_space(), tmp_path / "fake", rising)
    tuner.run()
    path = tmp_path / "fake" / "best" / f"{EXP}.yaml"
    text = path.read_text()
    path.unlink()
    FakeTuner(make_space(), tmp_path / "fake", rising)
    assert path.read_text() == text


def test_half_a_journal_line_is_dropped_on_resume(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(make_space(), folder, rising).run(stop_after_results=45)
    journal = folder / "scenarios" / EXP / "study.journal"
    journal.write_bytes(journal.read_bytes()[:-30])
    FakeTuner(make_space(), folder, rising).run()
    assert trials(folder).query("phase == 'search'").groupby("scenario").size().to_dict() == {EXP: 8, STEP: 8}
    assert all(trial.state.is_finished() for trial in study_trials(folder, EXP))


def test_finished_trial_without_its_epochs_is_trained_again(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(make_space(), folder, rising).run()
    (folder / "epochs.parquet").unlink()
    FakeTuner(make_space(), folder, rising).run()
    after = trials(folder)
    assert after.groupby(["scenario", "phase"]).size().tolist() == [1, 8, 1, 8]
    assert len(epochs(folder)) == (after.epochs_trained + after.epochs_inherited).sum()


def test_lost_journal_is_named_on_resume(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(make_space(), folder, rising).run(stop_after_results=60)
    (folder / "scenarios" / EXP / "study.journal").unlink()
    with pytest.raises(UserError, match=f"the study of `{EXP}`, or part of it, is missing"):
        FakeTuner(make_space(), folder, rising)


def test_searching_twice_after_the_end_gives_nothing_more(searched: FakeTuner) -> None:
    again = FakeTuner(make_space(), searched.recorder.folder, rising)
    assert again.searcher.is_done
