"""A driver killed between any two writes: the resumed search ends as one that was never interrupted; on curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from absgd import records
from absgd.errors import UserError
from tests.support.fake_searches import (
    CLOCKS,
    EXP,
    assert_same,
    epochs,
    some_diverge,
    space_of,
    study_trials,
    study_values,
    trials,
)
from tests.support.fake_trainer import FakeTrainer
from tests.support.fake_tuner import SPACE, FakeTuner, make_space, rising
from tests.support.kills import Killed, killed_at
from tests.support.made_up_scores import staggered
from tests.support.whole_searches import (
    WholeSearch,
    assert_killed_confirmation_ends_as,
    assert_killed_search_ends_as,
    whole_confirmation,
    whole_search,
    with_confirmation,
)
from tune_runs.driver.study import ScenarioStudy
from tune_runs.request.search_request import new_request, resume_request
from tune_runs.request.warm_start import warm_start_of
from tune_runs.trunks import snapshots


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> WholeSearch:
    return whole_search(tmp_path_factory.mktemp("runs") / "whole")


@pytest.mark.parametrize("part", range(4))
def test_search_killed_at_any_write_ends_as_an_uninterrupted_one(
    whole: WholeSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    moment = 1 + part * (whole.writes - 1) // 3
    assert_killed_search_ends_as(whole, tmp_path / "whole", monkeypatch, moment)


def test_search_killed_repeatedly_ends_as_an_uninterrupted_one(
    whole: WholeSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = whole.folder
    deaths, trained = 0, FakeTrainer.epochs_trained
    while True:
        try:
            with killed_at(23, monkeypatch):
                FakeTuner(space_of(), tmp_path / "whole", some_diverge, concurrent=1).run()
            break
        except Killed:
            deaths += 1
    assert deaths > 5
    assert_same(folder, tmp_path / "whole")
    assert FakeTrainer.epochs_trained - trained <= trials(folder).epochs_trained.sum() + deaths


def test_search_begun_with_the_earlier_name_of_its_rule_ends_as_one_of_today(tmp_path: Path) -> None:
    space = space_of(early_stopping={"rule": "asha", "reduction_factor": 2})
    FakeTuner(space, tmp_path / "whole", some_diverge, concurrent=1).run()
    folder = tmp_path / "begun" / "whole"
    FakeTuner(space, folder, some_diverge, concurrent=1).run(stop_after_results=20)
    journal = records.scenario_folder(folder, EXP) / records.STUDY_FILE
    begun = journal.read_text()
    assert begun.count('"rule":"asha"') == 1
    journal.write_text(begun.replace('"rule":"asha"', '"rule":"epoch"'))
    earlier = space_of(early_stopping={"rule": "epoch", "reduction_factor": 2})
    assert (earlier, earlier.decisive()) == (space, space.decisive())
    FakeTuner(earlier, folder, some_diverge, concurrent=1).run()
    assert_same(tmp_path / "whole", folder)


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory: pytest.TempPathFactory) -> WholeSearch:
    return whole_confirmation(tmp_path_factory.mktemp("runs") / "whole")


@pytest.mark.parametrize("part", range(3))
def test_confirmation_killed_at_any_write_ends_as_an_uninterrupted_one(
    confirmed: WholeSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    moment = confirmed.writes_before - 5 + part * (confirmed.writes - confirmed.writes_before + 5) // 2
    assert_killed_confirmation_ends_as(confirmed, tmp_path / "whole", monkeypatch, moment)


@pytest.mark.parametrize("part", range(4))
def test_several_confirmations_at_once_lose_and_repeat_nothing(
    confirmed: WholeSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    num_before, num_writes = confirmed.writes_before, confirmed.writes
    folder, moment = tmp_path / "fake", num_before + (1 + 2 * part) * (num_writes - num_before) // 9
    with pytest.raises(Killed), killed_at(moment, monkeypatch):
        FakeTuner(with_confirmation(), folder, some_diverge, concurrent=3, test_score=staggered).run()
    before = records.read_rows(folder / records.TRIALS_FILE, records.TRIAL_SCHEMA)
    ended = {row["trial_id"]: row for row in before if row["status"] in ("completed", "diverged")}
    resumed = FakeTuner(with_confirmation(), folder, some_diverge, concurrent=3, test_score=staggered)
    resumed.run()
    after = {row["trial_id"]: row for row in records.read_rows(folder / records.TRIALS_FILE, records.TRIAL_SCHEMA)}
    assert {trial_id: after[trial_id] for trial_id in ended} == ended
    assert not set(ended) & set(resumed.tested)
    assert sum(row["phase"] == "confirm" for row in after.values()) == 15
    known = epochs(folder)
    assert not known.duplicated(["trial_id", "epoch"]).any()
    assert len(known) == sum(row["epochs_trained"] + row["epochs_inherited"] for row in after.values())


@pytest.mark.parametrize("moment", [30, 61, 92, 120])
def test_several_trials_at_once_lose_and_repeat_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    folder = tmp_path / "fake"
    with pytest.raises(Killed), killed_at(moment, monkeypatch):
        FakeTuner(space_of(), folder, some_diverge, concurrent=3).run()
    before = records.read_rows(folder / records.TRIALS_FILE, records.TRIAL_SCHEMA)
    finished = {row["trial_id"]: row for row in before if row["status"] in ("completed", "pruned", "diverged")}
    FakeTuner(space_of(), folder, some_diverge, concurrent=3).run()
    after = {row["trial_id"]: row for row in records.read_rows(folder / records.TRIALS_FILE, records.TRIAL_SCHEMA)}
    assert len(after) == 7
    assert {trial_id: after[trial_id] for trial_id in finished} == finished
    assert [trial.number for trial in study_trials(folder, EXP)] == list(range(6))
    assert all(trial.state.is_finished() for trial in study_trials(folder, EXP))
    known = epochs(folder)
    assert not known.duplicated(["trial_id", "epoch"]).any()
    assert len(known) == sum(row["epochs_trained"] + row["epochs_inherited"] for row in after.values())


def test_search_that_ends_early_leaves_its_trials_waiting(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    tuner = FakeTuner(space_of(), folder, some_diverge)
    tuner.run(stop_after_results=20)
    tuner.end_early()
    states = {trial.state for trial in study_trials(folder, EXP)}
    assert TrialState.WAITING in states
    assert TrialState.RUNNING not in states
    FakeTuner(space_of(), folder, some_diverge).run()
    assert {trial.state for trial in study_trials(folder, EXP)} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_resume_tells_the_study_of_a_trial_only_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error or a second Ctrl-C between the two, a trial that has ended waits in the study."""
    folder = tmp_path / "fake"
    tuner = FakeTuner(space_of(), folder, some_diverge, concurrent=1)
    with monkeypatch.context() as patched:
        patched.setattr(ScenarioStudy, "tell", lambda *_: None)
        for _ in tuner.results({}):
            if any(one.phase == "search" and one.status == "completed" for one in tuner.recorder.trials.values()):
                break
    tuner.end_early()
    before = {trial.number: trial.state for trial in study_trials(folder, EXP)}
    assert TrialState.WAITING in before.values()
    done = trials(folder).query("phase == 'search' and status in ('completed', 'pruned', 'diverged')")
    FakeTuner(space_of(), folder, some_diverge, concurrent=1).run()
    after = trials(folder)
    assert len(after) == 7
    assert after.set_index("trial_id").loc[done.trial_id].wall_s.tolist() == done.wall_s.tolist(), "not trained again"
    assert all(trial.state.is_finished() for trial in study_trials(folder, EXP))


def test_line_that_does_not_fit_on_the_disk_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "fake"
    tuner = FakeTuner(space_of(), folder, some_diverge, concurrent=1)
    append = JournalFileBackend.append_logs

    def full(backend: Any, logs: Any) -> None:
        with open(backend._file_path, "ab") as file:
            file.write(b'{"op_code": 4, "wor')
        raise OSError(28, "No space left on device")

    for number, _ in enumerate(tuner.results({})):
        if number == 13:
            monkeypatch.setattr(JournalFileBackend, "append_logs", full)
    assert tuner.stop.error is not None
    monkeypatch.setattr(JournalFileBackend, "append_logs", append)
    tuner.end_early()
    FakeTuner(space_of(), folder, some_diverge, concurrent=1).run()
    assert len(trials(folder)) == 7
    assert all(trial.state.is_finished() for trial in study_trials(folder, EXP))


def test_other_images_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(space_of(), folder, rising).run(stop_after_results=12)
    table = pd.read_parquet(folder / "trials.parquet")
    table["split_hash"] = "of other images"
    table.to_parquet(folder / "trials.parquet")
    with pytest.raises(UserError, match=f"the data of scenario `{EXP}` has changed since"):
        FakeTuner(space_of(), folder, rising)


def test_journal_that_lost_whole_lines_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(space_of(), folder, rising, concurrent=1).run()
    journal = folder / "scenarios" / EXP / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    with pytest.raises(UserError, match="or part of it, is missing, but its trials are recorded"):
        FakeTuner(space_of(), folder, rising)


def test_run_folder_may_be_moved_and_renamed(whole: WholeSearch, tmp_path: Path) -> None:
    FakeTuner(space_of(), tmp_path / "old", some_diverge, concurrent=1).run(stop_after_results=20)
    (tmp_path / "old").rename(tmp_path / "whole")
    FakeTuner(space_of(), tmp_path / "whole", some_diverge, concurrent=1).run()
    assert_same(whole.folder, tmp_path / "whole")
    assert set(trials(tmp_path / "whole").run) == set(epochs(tmp_path / "whole").run) == {"whole"}


def test_damaged_environment_file_changes_nothing(whole: WholeSearch, tmp_path: Path) -> None:
    FakeTuner(space_of(), tmp_path / "whole", some_diverge, concurrent=1).run(stop_after_results=20)
    (tmp_path / "whole" / "environment.json").write_text("{")
    FakeTuner(space_of(), tmp_path / "whole", some_diverge, concurrent=1).run()
    assert_same(whole.folder, tmp_path / "whole")


def test_damaged_checkpoint_of_a_trial_is_named_and_the_one_before_used(whole: WholeSearch, tmp_path: Path) -> None:
    folder = tmp_path / "whole"
    tuner = FakeTuner(space_of(), folder, some_diverge, concurrent=1)
    for trial_id in tuner.results({}):
        left = sorted((folder / "scenarios" / EXP / "checkpoints" / trial_id).glob("*"))
        if not trial_id.endswith("control") and len(left) > 1:
            newest = left[-1]
            break
    newest.write_bytes(newest.read_bytes()[:-1])
    trained = FakeTrainer.epochs_trained
    done = sum(len(rows) for rows in tuner.recorder.epochs.values()) - sum(
        trial.summary.epochs_inherited for trial in tuner.recorder.trials.values()
    )
    resumed = FakeTuner(space_of(), folder, some_diverge, concurrent=1)
    resumed.run()
    assert any(str(newest) in note and note.endswith("trained again") for note in resumed.notes)
    assert_same(whole.folder, folder)
    again = FakeTrainer.epochs_trained - trained
    assert again == trials(folder).epochs_trained.sum() - done + 1, "the epoch of the damaged one alone"


def test_full_disk_destroys_no_existing_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuner = FakeTuner(space_of(early_stopping=None), tmp_path / "fake", rising, concurrent=1)
    checkpoints = tmp_path / "fake" / "scenarios" / EXP / "checkpoints" / f"{EXP}-0000"
    write = snapshots.write_atomically

    def full(path: Path, content: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    for trial_id in tuner.results({}):
        if trial_id.endswith("-0000"):
            epoch = len(tuner.recorder.epochs[trial_id])
            if epoch == 7:
                kept = sorted(checkpoints.iterdir())
                monkeypatch.setattr(snapshots, "write_atomically", full)
            if epoch == 9:
                assert sorted(checkpoints.iterdir()) == kept
                monkeypatch.setattr(snapshots, "write_atomically", write)
    assert len([note for note in tuner.notes if "cannot write" in note]) == 1


def test_warm_start_points_come_after_the_enqueued_ones_once_each(tmp_path: Path) -> None:
    FakeTuner(space_of(early_stopping=None), tmp_path / "other", rising, concurrent=1).run()
    space = space_of(enqueue=[{"lam": 7.0}])
    found = warm_start_of(space, tmp_path / "other").points
    best = trials(tmp_path / "other").query("phase == 'search'").sort_values("metric_last", ascending=False)
    assert [point["lam"] for point in found[EXP]] == best.lam.head(5).tolist()
    twice = [*found[EXP][:2], {"lam": 7.0}]
    FakeTuner(space, tmp_path / "new", rising, concurrent=1, warm_start=twice).run()
    tried = trials(tmp_path / "new").query("phase == 'search'").sort_values("number")
    assert tried.lam.head(3).tolist() == [7.0, *best.lam.head(2)]
    assert tried.lam.is_unique
    assert tried.gamma.iloc[1:3].tolist() == best.gamma.head(2).tolist()


def test_warm_start_survives_a_kill_before_the_studies_are_made(tmp_path: Path) -> None:
    points = {EXP: ({"lam": 3.5, "gamma": 0.25},)}
    (tmp_path / "run").mkdir()
    new_request(space_of(), tmp_path / "run", warm_start=points).begin()
    assert resume_request(tmp_path / "run").warm_start == {EXP: [{"lam": 3.5, "gamma": 0.25}]}


def test_enqueued_points_survive_a_kill_between_two_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [{"lam": 1.0 + k, "gamma": 0.5} for k in range(4)]
    space = space_of(enqueue=points)
    FakeTuner(space, tmp_path / "whole", rising, concurrent=1).run()
    for moment in range(2, 9):
        folder = tmp_path / f"killed-{moment}" / "whole"
        folder.parent.mkdir()
        with pytest.raises(Killed), killed_at(moment, monkeypatch):
            FakeTuner(space, folder, rising, concurrent=1).run()
        FakeTuner(space, folder, rising, concurrent=1).run()
        assert_same(tmp_path / "whole", folder)


def test_trial_without_its_record_is_trained_again_and_told_once(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(space_of(), folder, some_diverge, concurrent=1).run()
    values_before = study_values(folder)
    before = trials(folder).drop(columns=[*CLOCKS])
    table = records.read_rows(folder / records.TRIALS_FILE, records.TRIAL_SCHEMA)
    kept = [row for row in table if row["trial_id"] != f"{EXP}-0002"]
    records.write_table(folder / records.TRIALS_FILE, records.as_table(records.TRIAL_SCHEMA, kept))
    FakeTuner(space_of(), folder, some_diverge, concurrent=1).run()
    after = trials(folder).drop(columns=[*CLOCKS]).sort_values("trial_id").reset_index(drop=True)
    pd.testing.assert_frame_equal(after, before.sort_values("trial_id").reset_index(drop=True))
    assert study_values(folder) == values_before


def test_added_trials_equal_those_of_a_longer_search(tmp_path: Path) -> None:
    """This holds while both searches begin with equally many random trials."""
    FakeTuner(make_space(num_trials=8, early_stopping=None), tmp_path / "whole", rising, concurrent=1).run()
    parts = tmp_path / "parts" / "whole"
    parts.parent.mkdir()
    FakeTuner(make_space(num_trials=5, early_stopping=None), parts, rising, concurrent=1).run()
    FakeTuner(make_space(num_trials=8, early_stopping=None), parts, rising, concurrent=1).run()
    columns = ["trial_id", "lam", "gamma", "ab_alpha", "switch_epoch", "metric_last", "status"]
    frames = [
        trials(folder)[columns].sort_values("trial_id").reset_index(drop=True) for folder in (tmp_path / "whole", parts)
    ]
    pd.testing.assert_frame_equal(*frames)


def test_resume_with_another_space_is_refused_with_the_difference(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(space_of(), folder, rising).run(stop_after_results=12)
    narrower = {**SPACE["search"], "lam": {"low": 0.5, "high": 20, "log": True}}
    with pytest.raises(UserError) as error:
        FakeTuner(space_of(search=narrower), folder, rising)
    assert "a resumed search must not change" in str(error.value)
    assert "`search.lam.high` was 50.0, is now 20.0" in str(error.value)
    assert str(error.value).count(" is now ") == 1
    FakeTuner(space_of(max_failures=0, epoch_budget=1000, keep_checkpoints=3), folder, rising).run()


def test_resume_takes_budgets_and_more_trials_and_the_same_space(tmp_path: Path) -> None:
    from absgd.yaml_text import dump_yaml

    (tmp_path / records.SPACE_FILE).write_text(dump_yaml(space_of().to_dict()))
    request = resume_request(tmp_path, extend=4, budgets={"time_budget": "2h", "epoch_budget": 500}, given=space_of())
    assert (request.space.num_trials, request.space.time_budget, request.space.epoch_budget) == (10, 7200, 500)
    with pytest.raises(UserError, match=r"`seed` was 10, is now 11"):
        resume_request(tmp_path, given=space_of().model_copy(update={"seed": 11}))


def test_space_given_to_an_extended_search_may_have_the_number_of_trials_before(tmp_path: Path) -> None:
    from absgd.yaml_text import dump_yaml

    more_seeds, extended = space_of(confirm={"max_pairs": 9}), space_of(num_trials=10)
    (tmp_path / records.SPACE_FILE).write_text(dump_yaml(extended.to_dict()))
    for option in ("--confirm", "--resume"):
        with pytest.warns(UserWarning, match=r"`num_trials` stays 10, as recorded, not 6 \(--space: num_trials\)"):
            request = resume_request(tmp_path, given=more_seeds, option=option)
        assert (request.space.num_trials, request.space.confirm) == (10, more_seeds.confirm)
    with pytest.raises(UserError, match=r"expected `num_trials` 10, as recorded, got 16: .* `--extend 6`"):
        resume_request(tmp_path, given=space_of(num_trials=16))
    with pytest.warns(UserWarning, match="stays 10, as recorded, not 16"):
        resume_request(tmp_path, given=space_of(num_trials=16), option="--confirm")


def test_undocumented_behaviour_of_optuna_that_the_search_relies_on(tmp_path: Path) -> None:
    """A RUNNING trial set to WAITING is asked first, with its parameters; queued ones are in `fixed_params`."""
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(tmp_path / "j")))
    study = optuna.create_study(storage=storage)
    first = study.ask()
    drawn = first.suggest_float("x", 0, 1)
    first.report(0.5, step=3)
    study.enqueue_trial({"x": 0.25})
    assert study.trials[1].system_attrs["fixed_params"] == {"x": 0.25}
    assert storage.set_trial_state_values(first._trial_id, TrialState.WAITING)
    assert [trial.state for trial in study.trials] == [TrialState.WAITING, TrialState.WAITING]
    again = study.ask()
    assert (again.number, again.suggest_float("x", 0, 1)) == (0, drawn)
    assert study.trials[0].intermediate_values == {3: 0.5}
    assert study.ask().suggest_float("x", 0, 1) == 0.25
