"""Confirmation on curves: the order of its runs, the choice of the winner, and a resume after a kill."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from absgd import records
from absgd.config import RunConfig
from tests.support.fake_searches import EXP, STEP, study_trials, trials
from tests.support.fake_tuner import FakeTuner, make_space, rising
from tune_runs.confirm.confirmation_table import confirmation_lines
from tune_runs.confirm.scenario_confirmation import every_confirmation_failed
from tune_runs.driver.search_summary import print_summary
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.space.model import SearchSpace
from tune_runs.trial.trial_reports import FinalMetrics

CONFIRM = {"top": 2, "seeds": 2, "controls": ["ce", "ce-lr", "cb-ce-drw"]}
NAMES = ["best-1", "best-2", "ce", "ce-lr", "cb-ce-drw"]


def confirmed_space(**changes: Any) -> SearchSpace:
    return make_space(**{"num_trials": 4, "confirm": CONFIRM, "early_stopping": None, **changes})


def by_seed(config: RunConfig, epoch: int) -> float:
    """Return a curve by which the second best of the search is better on fresh seeds."""
    value = rising(config, epoch)
    return 0.5 - value if config.seeds.data else value


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> FakeTuner:
    tuner = FakeTuner(confirmed_space(), tmp_path_factory.mktemp("runs") / "fake", by_seed)
    tuner.run()
    return tuner


def confirm_rows(folder: Path) -> pd.DataFrame:
    return trials(folder).query("phase == 'confirm'")


def test_every_candidate_is_trained_on_the_same_fresh_seeds(done: FakeTuner) -> None:
    frame = confirm_rows(done.recorder.folder)
    assert set(frame.status) == {"completed"}
    assert frame.number.isna().all()
    for scenario in (EXP, STEP):
        own = frame[frame.scenario == scenario]
        assert own.groupby("candidate").size().to_dict() == dict.fromkeys(NAMES, 2)
        for _, runs in own.groupby("candidate"):
            assert sorted(zip(runs.seed_data, runs.seed_train, strict=True)) == [(1, 1), (2, 2)]
        assert own.groupby("seed_data").split_hash.nunique().to_dict() == {1: 1, 2: 1}
    assert trials(done.recorder.folder).query("phase != 'confirm'").candidate.isna().all()


def test_best_candidates_are_the_best_trials_and_controls_follow_the_confirmed_winner(done: FakeTuner) -> None:
    frame = confirm_rows(done.recorder.folder).query("scenario == @EXP and seed_data == 1").set_index("candidate")
    ranked = done.recorder.ranked(EXP)
    for place in (0, 1):
        assert frame.loc[f"best-{place + 1}", "lam"] == ranked[place].settings["lam"]
        assert frame.loc[f"best-{place + 1}", "trial_id"] == f"{ranked[place].trial_id}-seed1"
    assert frame.loc["ce-lr", "lr"] == 0.1 / ranked[1].settings["ab_alpha"]
    assert frame.loc["cb-ce-drw", "class_balance_from_epoch"] == str(ranked[1].settings["switch_epoch"])


def test_controls_are_trained_once_the_winner_is_known_but_for_the_trunks(tmp_path: Path) -> None:
    tuner = FakeTuner(confirmed_space(), tmp_path / "fake", by_seed)
    plan = tuner.confirmations[EXP]
    for _ in tuner.results({}):
        runs = [trial for trial in tuner.recorder.trials_of(EXP) if trial.phase == "confirm"]
        best = [trial for trial in runs if str(trial.candidate).startswith("best-")]
        if runs and (len(best) < 4 or any(trial.status == "running" for trial in best)):
            assert {trial.candidate for trial in runs} <= {"best-1", "best-2", "ce"}
            assert plan.num_runs == 10
            assert not plan.has_result
    assert plan.num_ended == plan.num_runs == 10
    assert plan.has_result


def test_controls_follow_the_searchs_best_where_no_best_run_completed(tmp_path: Path) -> None:
    def diverging(config: RunConfig, epoch: int) -> float | None:
        return None if config.seeds.data and config.attention else rising(config, epoch)

    tuner = FakeTuner(confirmed_space(), tmp_path / "fake", diverging)
    tuner.run()
    frame = confirm_rows(tmp_path / "fake").query("scenario == @EXP and seed_data == 1").set_index("candidate")
    assert frame.status["best-1"] == frame.status["best-2"] == "diverged"
    assert frame.loc["ce-lr", "lr"] == 0.1 / tuner.recorder.ranked(EXP)[0].settings["ab_alpha"]


@pytest.mark.parametrize("stop_after", [70, 90, 110, 130, 150])
def test_killed_confirmation_ends_as_an_uninterrupted_one(tmp_path: Path, done: FakeTuner, stop_after: int) -> None:
    FakeTuner(confirmed_space(), tmp_path / "fake", by_seed).run(stop_after_results=stop_after)
    FakeTuner(confirmed_space(), tmp_path / "fake", by_seed).run()
    columns = ["trial_id", "candidate", "status", "lr", "metric_last"]
    one, other = (
        confirm_rows(folder)[columns].sort_values("trial_id") for folder in (tmp_path / "fake", done.recorder.folder)
    )
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))


def test_stage_one_of_a_pair_is_trained_once(done: FakeTuner) -> None:
    frame = confirm_rows(done.recorder.folder)
    forks = frame[frame.candidate.isin(["best-1", "best-2"])]
    assert (forks.epochs_inherited == forks.switch_epoch).all()
    drw = frame[frame.candidate == "cb-ce-drw"]
    assert (drw.epochs_inherited == drw.class_balance_from_epoch.astype(int)).all()
    assert (frame[frame.candidate.isin(["ce", "ce-lr"])].epochs_inherited == 0).all()


def test_confirmations_are_not_in_the_study_and_never_stopped(done: FakeTuner) -> None:
    for scenario in (EXP, STEP):
        assert len(study_trials(done.recorder.folder, scenario)) == 4
    frame = confirm_rows(done.recorder.folder)
    assert (frame.epochs_trained + frame.epochs_inherited == 10).all()


def test_each_confirmation_reads_the_test_set_once_and_nothing_else_does(done: FakeTuner) -> None:
    frame = trials(done.recorder.folder)
    assert sorted(done.tested) == sorted(frame[frame.phase == "confirm"].trial_id)
    assert (frame.test_accuracy.notna() == (frame.phase == "confirm")).all()


def test_chosen_epoch_may_be_inherited_and_is_what_is_tested(tmp_path: Path) -> None:
    def early(config: RunConfig, epoch: int) -> float:
        return 0.9 if epoch == 2 else rising(config, epoch)

    tuner = FakeTuner(confirmed_space(), tmp_path / "fake", early)
    tuner.run()
    frame = confirm_rows(tmp_path / "fake")
    assert set(frame.chosen_epoch) == {2}
    assert (frame[frame.candidate == "best-1"].epochs_inherited >= 3).all()
    assert (frame.test_chosen_accuracy == 3).all(), "the fake tests the epochs behind a state"
    assert (frame.test_accuracy == 10).all()


def test_winner_has_the_best_mean_on_validation_and_its_file_names_it(done: FakeTuner) -> None:
    folder = done.recorder.folder
    frame = confirm_rows(folder).query("scenario == @EXP")
    means = frame.groupby("candidate").metric_last.mean()
    assert means["best-2"] > means["best-1"]
    text = (folder / "best" / f"{EXP}.yaml").read_text()
    second = done.recorder.ranked(EXP)[1]
    assert f"confirmed on fresh seeds: best-2, trial {second.trial_id}." in text
    assert f"{means['best-2']:.4f} ± " in text
    assert "ce-lr             n 2" in text
    written = RunConfig.from_yaml(folder / "best" / f"{EXP}.yaml")
    assert written.attention is not None
    assert written.attention.lam == second.settings["lam"]
    assert (written.seeds.data, written.seeds.train) == (0, 0), "it reproduces the trial"


def test_summary_has_the_settings_of_the_winner_not_of_the_best_of_the_search(done: FakeTuner) -> None:
    console = Console(file=io.StringIO(), width=120)
    print_summary(done.space, done.recorder, console, done.confirmations)
    assert isinstance(console.file, io.StringIO)
    (row, *_) = [line.split() for line in console.file.getvalue().splitlines() if line.strip().startswith(EXP)]
    second = done.recorder.ranked(EXP)[1]
    assert row[1] == "best-2"
    assert row[2] == f"{second.summary.metric_last:.4f}"
    assert row[4] == f"{second.settings['lam']:.4g}"


def test_only_a_confirmation_without_any_completed_run_has_failed(done: FakeTuner, tmp_path: Path) -> None:
    assert not every_confirmation_failed(done.confirmations)
    tuner = FakeTuner(confirmed_space(), tmp_path / "fake", rising)
    assert not every_confirmation_failed(tuner.confirmations), "it has not begun"
    tuner.run(fails=AlwaysAt("-seed", 1))
    assert set(confirm_rows(tmp_path / "fake").status) == {"failed"}
    assert every_confirmation_failed(tuner.confirmations)


class AlwaysAt(dict[str, int]):
    """Trials whose id contains a part -> the number of results after which they fail."""

    def __init__(self, part: str, results: int) -> None:
        self._part, self._results = part, results

    def __bool__(self) -> bool:
        return True

    def get(self, trial_id: str, default: Any = None) -> Any:
        return self._results if self._part in trial_id else default


def test_test_columns_do_not_affect_results(tmp_path: Path, done: FakeTuner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test metrics change neither the choice nor its description, but for the test numbers in it."""
    from tests.support import fake_tuner

    worse, better = (FinalMetrics(records.TestMetrics(0.0, value, value, (value,) * 10)) for value in (0.0, 9.0))
    monkeypatch.setattr(fake_tuner, "fake_test", lambda trainer, _: worse if trainer.config.attention else better)
    FakeTuner(confirmed_space(), tmp_path / "fake", by_seed).run()
    for scenario in (EXP, STEP):
        one, other = (folder / "best" / f"{scenario}.yaml" for folder in (tmp_path / "fake", done.recorder.folder))
        assert RunConfig.from_yaml(one) == RunConfig.from_yaml(other)
        assert one.read_text().splitlines()[0] == other.read_text().splitlines()[0].replace("run runs", "run fake")


def test_confirmation_starts_after_its_own_search_and_fills_free_places(tmp_path: Path) -> None:
    tuner = FakeTuner(confirmed_space(), tmp_path / "fake", rising, concurrent=8)
    tuner.run()
    order = [trial.phase for trial in tuner.recorder.trials.values()]
    assert order.index("confirm") < len(order) - 20 + 1
    assert tuner.most_live == 8


def test_images_are_read_once_for_each_data_seed_and_released(done: FakeTuner) -> None:
    read = [(config.imbalance.type, config.seeds.data) for config in done.read]
    assert sorted(read) == sorted(set(read)) == [(kind, seed) for kind in ("exp", "step") for seed in (0, 1, 2)]
    assert done.store.keys == set()
    assert done.store.most <= 4


def test_space_or_session_without_confirmation_reads_no_test_set(tmp_path: Path) -> None:
    tuner = FakeTuner(confirmed_space(confirm=None), tmp_path / "fake", rising)
    tuner.run()
    assert tuner.tested == []
    assert set(trials(tmp_path / "fake").phase) == {"search", "control"}


def test_confirm_later_changes_nothing_in_the_search(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    first = FakeTuner(make_space(num_trials=20, early_stopping=None), folder, rising)
    first.run(stop_after_results=110)
    first.end_early()
    before = trials(folder).query("phase == 'search'")
    assert {"completed", "interrupted"} <= set(before.status)
    second = FakeTuner(make_space(num_trials=20, early_stopping=None), folder, rising, searches=False)
    second.run()
    after = trials(folder)
    pd.testing.assert_frame_equal(
        after[after.phase == "search"][["trial_id", "status"]], before[["trial_id", "status"]]
    )
    counts = after.query("phase == 'confirm'").groupby("scenario").candidate.nunique()
    assert (counts == 3 + 6).all(), "with the defaults, where the space has no settings for it"
    third = FakeTuner(make_space(num_trials=20, early_stopping=None), folder, rising)
    third.run()
    assert len(trials(folder).query("phase == 'search'")) == 40
    assert third.tested == []


def test_extended_search_confirms_new_candidates_and_keeps_old_runs(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    first = FakeTuner(confirmed_space(), folder, rising, concurrent=1)
    first.run()
    before = confirm_rows(folder).set_index("trial_id")
    again = FakeTuner(confirmed_space(num_trials=16), folder, rising, concurrent=1)
    best_before = first.recorder.ranked(EXP)[0].trial_id
    again.run()
    after = confirm_rows(folder).set_index("trial_id")
    assert again.recorder.ranked(EXP)[0].trial_id != best_before, "the seed finds a better one"
    same = ["lam", "lr", "metric_last", "test_accuracy", "seed_data"]
    pd.testing.assert_frame_equal(after.loc[before.index, same], before[same])
    assert set(again.tested) == set(after.index) - set(before.index)
    own = after[after.scenario == EXP]
    ranks = {trial.trial_id: f"best-{place}" for place, trial in enumerate(again.recorder.ranked(EXP), start=1)}
    for trial_id, row in own.iterrows():
        source = str(trial_id).rpartition("-seed")[0]
        if source in ranks:
            assert row.candidate == ranks[source], "names are those of the search as it is now"
    assert own[own.candidate == "ce"].index.isin(before.index).all(), "the same control as before"
    gone = before.loc[own[own.candidate.isna()].index]
    assert {"ce-lr"} <= set(gone.candidate) <= {"ce-lr", "cb-ce-drw"}, "they belonged to another best trial"
    assert own.groupby("candidate").size().eq(2).all()


def test_failed_and_diverged_confirmations_are_rows_left_out_of_means(tmp_path: Path) -> None:
    def breaks(config: RunConfig, epoch: int) -> float | None:
        is_deferred = config.class_balance.type != "none"
        return None if config.seeds.data == 2 and is_deferred and epoch == 8 else rising(config, epoch)

    folder = tmp_path / "fake"
    tuner = FakeTuner(confirmed_space(scenarios=[{"imbalance": {"type": "exp", "ratio": 0.1}}]), folder, breaks)
    tuner.run(fails={f"{EXP}-{number:04d}-seed2": 1 for number in range(4)})
    frame = confirm_rows(folder)
    assert frame.groupby("candidate").status.apply(sorted).to_dict() == {
        "best-1": ["completed", "failed"],
        "best-2": ["completed", "failed"],
        "cb-ce-drw": ["completed", "diverged"],
        "ce": ["completed", "completed"],
        "ce-lr": ["completed", "completed"],
    }
    text = (folder / "best" / f"{EXP}.yaml").read_text()
    assert "best-1            n 1 of 2" in text
    assert frame[frame.status != "completed"].test_accuracy.isna().all()
    idle = Recorder(folder, "val_accuracy", ScenarioImages())
    idle.load(retried=("control",))
    failed = [trial for trial in idle.trials.values() if trial.status == "failed"]
    assert [trial.error for trial in failed] == ["Boom", "Boom"], "a session that does not confirm leaves them so"
    again = FakeTuner(confirmed_space(scenarios=[{"imbalance": {"type": "exp", "ratio": 0.1}}]), folder, breaks)
    again.run()
    assert sorted(set(again.tested)) == sorted(frame[frame.status == "failed"].trial_id), "failed ones are tried again"
    assert "best-1            n 2 " in (folder / "best" / f"{EXP}.yaml").read_text()


def test_lost_process_resumes_and_reads_the_test_set_once(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    tuner = FakeTuner(confirmed_space(scenarios=[{"imbalance": {"type": "exp", "ratio": 0.1}}]), folder, rising)
    tuner.run(loses={f"{EXP}-{number:04d}-seed1": [2, 1] for number in range(4)})
    frame = confirm_rows(folder)
    assert frame[frame.candidate.isin(["best-1", "best-2"]) & (frame.seed_data == 1)].restarts.tolist() == [2, 2]
    assert sorted(tuner.tested) == sorted(frame.trial_id)


def test_finished_confirmation_is_done_and_reads_no_fresh_images(done: FakeTuner) -> None:
    again = FakeTuner(confirmed_space(), done.recorder.folder, by_seed)
    assert again.searcher.is_done
    assert {config.seeds.data for config in again.read} == {0}, "those of the search, by the driver"


def test_more_seeds_are_trained_in_addition(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(confirmed_space(), folder, rising).run()
    before = set(confirm_rows(folder).trial_id)
    more = FakeTuner(confirmed_space(confirm={**CONFIRM, "seeds": 3}), folder, rising)
    more.run()
    assert len(more.tested) == len(set(more.tested) - before) == 2 * len(NAMES)
    assert confirm_rows(folder).groupby(["scenario", "candidate"]).size().eq(3).all()


def test_epoch_budget_ends_a_confirmation_and_a_larger_one_resumes_it(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    budget = 2 * (10 + 4 * 7) + 30
    first = FakeTuner(confirmed_space(epoch_budget=budget), folder, rising)
    first.run()
    assert first.stop.used_budget == "the epoch budget was used up"
    first.end_early()
    before = confirm_rows(folder)
    assert {"completed", "interrupted"} <= set(before.status)
    assert (folder / "best" / f"{EXP}.yaml").read_text().startswith("# Best trial so far of run")
    again = FakeTuner(confirmed_space(), folder, rising)
    again.run()
    assert set(confirm_rows(folder).status) == {"completed"}
    assert not set(again.tested) & set(before[before.status == "completed"].trial_id)


def test_checkpoints_of_confirmations_go_when_they_end(done: FakeTuner) -> None:
    left = [path.parent.name for path in done.recorder.folder.glob("scenarios/*/checkpoints/*/*.pt")]
    assert set(left) == {done.recorder.ranked(scenario)[0].trial_id for scenario in (EXP, STEP)}


def test_reading_a_confirmation_changes_no_record(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(confirmed_space(), folder, by_seed).run()
    extended = FakeTuner(confirmed_space(num_trials=6), folder, by_seed)
    for _ in extended.results({}):
        before = [trial.to_row() for trial in extended.recorder.trials.values()]
        for one in extended.confirmations.values():
            _ = one.candidates, one.runs, one.num_runs, one.num_ended, one.epochs_left, one.is_done, one.has_result
            one.results()
        assert [trial.to_row() for trial in extended.recorder.trials.values()] == before


def test_classes_without_a_test_image_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = FinalMetrics(records.TestMetrics(1.0, 0.5, 0.5, (0.5,) * 3 + (None,) + (0.5,) * 6))
    monkeypatch.setattr("tests.support.fake_tuner.fake_test", lambda _trainer, _run: few)
    tuner = FakeTuner(confirmed_space(), tmp_path / "fake", by_seed)
    tuner.run()
    lines = confirmation_lines(tuner.confirmations, tuner.recorder.folder)
    told = "no test image of class 3: test accuracies are means over 9 of 10 classes"
    assert [line for line in lines if "no test image" in line] == [f"note: {EXP}: {told}", f"note: {STEP}: {told}"]
    names = ["shirt" if label == 3 else str(label) for label in range(10)]
    table = records.scenario_folder(tuner.recorder.folder, EXP) / records.CLASSES_FILE
    records.write_table(table, records.class_table(names, [1] * 10, [1] * 10))
    (line,) = (
        one for one in confirmation_lines(tuner.confirmations, tuner.recorder.folder) if f"{EXP}: no test" in one
    )
    assert "no test image of class 3 (shirt): " in line
    best = records.best_file(tuner.recorder.folder, EXP).read_text()
    assert "# Test accuracies are means over 9 of 10 classes: the others have no test image." in best


def test_nothing_is_said_of_classes_that_are_all_there(done: FakeTuner) -> None:
    assert not [
        line for line in confirmation_lines(done.confirmations, done.recorder.folder) if "no test image" in line
    ]
    assert "Test accuracies" not in records.best_file(done.recorder.folder, EXP).read_text()


@pytest.mark.parametrize("is_tested", [True, False])
def test_the_test_set_is_called_read_only_if_it_was(
    done: FakeTuner, monkeypatch: pytest.MonkeyPatch, is_tested: bool
) -> None:
    results = {name: one.results() for name, one in done.confirmations.items()}
    if not is_tested:
        for name, one in done.confirmations.items():
            untested = [result._replace(test=None) for result in results[name]]
            monkeypatch.setattr(one, "results", lambda untested=untested: untested)
    said = confirmation_lines(done.confirmations, done.recorder.folder)[0]
    assert said.endswith("each complete run read the test set once, and no choice used it") is is_tested
    assert said.endswith("no test set was read") is not is_tested
