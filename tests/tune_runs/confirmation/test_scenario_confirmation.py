"""Confirmation on curves: the order of its runs, the choice of the winner, and a resume after a kill."""

from __future__ import annotations

import io
import random
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from absgd import records
from absgd.config import RunConfig
from absgd.records import confirm_id
from tests.support.fake_searches import EXP, STEP, study_trials, trials
from tests.support.fake_trainer import epoch_record
from tests.support.fake_tuner import FakeTuner, make_space, rising
from tests.support.made_up_scores import close, far, staggered
from tune_runs.confirmation.candidates import Candidate, with_controls
from tune_runs.confirmation.confirmation_table import confirmation_lines
from tune_runs.confirmation.scenario_confirmation import every_confirmation_failed
from tune_runs.driver.search_summary import print_summary
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.seed_pairs.pair_runs import on_pair
from tune_runs.space.model import SearchSpace
from tune_runs.trial.trial_plan import TrialPlan
from tune_runs.trial.trial_reports import FinalMetrics

CONFIRM = {"max_pairs": 3, "controls": ["ce", "ce-lr", "cb-ce-drw"]}
NAMES = ["best-1", "ce", "ce-lr", "cb-ce-drw"]


def confirmed_space(**changes: Any) -> SearchSpace:
    return make_space(**{"num_trials": 4, "confirm": CONFIRM, "early_stopping": None, **changes})


def one_scenario(**changes: Any) -> SearchSpace:
    return confirmed_space(scenarios=[{"imbalance": {"type": "exp", "ratio": 0.1}}], **changes)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> FakeTuner:
    tuner = FakeTuner(confirmed_space(), tmp_path_factory.mktemp("runs") / "fake", rising, test_score=close)
    tuner.run()
    return tuner


def findings(folder: Path, scenario: str = EXP) -> pd.DataFrame:
    return pd.read_parquet(records.confirmation_file(folder, scenario))


def confirm_rows(folder: Path) -> pd.DataFrame:
    return trials(folder).query("phase == 'confirm'")


def kept_files(tuner: FakeTuner, phase: str) -> list[str | None]:
    return [plan.task.predictions for plan in tuner.searcher.plans.values() if plan.phase == phase]


def test_runs_of_a_confirmation_alone_keep_predictions_unless_that_is_turned_off(
    done: FakeTuner, tmp_path: Path
) -> None:
    confirmed = [plan.trial_id for plan in done.searcher.plans.values() if plan.phase == "confirm"]
    folder = done.recorder.folder
    assert kept_files(done, "confirm") == [str(folder / "predictions" / f"{name}.parquet") for name in confirmed]
    assert set(kept_files(done, "search")) == {None}
    without = FakeTuner(
        one_scenario(confirm={**CONFIRM, "predictions": False}), tmp_path / "fake", rising, test_score=close
    )
    without.run()
    assert set(kept_files(without, "confirm")) == {None}


def test_every_candidate_is_trained_on_the_same_fresh_seeds(done: FakeTuner) -> None:
    frame = confirm_rows(done.recorder.folder)
    assert set(frame.status) == {"completed"}
    assert frame.number.isna().all()
    for scenario in (EXP, STEP):
        own = frame[frame.scenario == scenario]
        assert own.groupby("candidate").size().to_dict() == {**dict.fromkeys(NAMES, 3), "ce-lr": 1}, "ce comes first"
        for _, runs in own[own.candidate != "ce-lr"].groupby("candidate"):
            assert sorted(zip(runs.seed_data, runs.seed_train, strict=True)) == [(1, 1), (2, 2), (3, 3)]
        assert own.groupby("seed_data").split_hash.nunique().to_dict() == {1: 1, 2: 1, 3: 1}
    assert trials(done.recorder.folder).query("phase != 'confirm'").candidate.isna().all()


def test_what_the_search_chose_is_confirmed_with_its_controls(done: FakeTuner) -> None:
    frame = confirm_rows(done.recorder.folder).query("scenario == @EXP and seed_data == 1").set_index("candidate")
    best = done.recorder.best(EXP)
    assert best is not None
    assert frame.loc["best-1", "lam"] == best.settings["lam"]
    assert frame.loc["best-1", "trial_id"] == f"{best.trial_id}-seed1"
    assert frame.loc["ce-lr", "lr"] == 0.1 / best.settings["ab_alpha"]
    assert frame.loc["cb-ce-drw", "class_balance_from_epoch"] == str(best.settings["switch_epoch"])


def test_each_pair_begins_once_the_one_before_has_ended_and_dear_controls_follow_cheap_ones(tmp_path: Path) -> None:
    tuner = FakeTuner(one_scenario(), tmp_path / "fake", rising, concurrent=8, test_score=close)
    for _ in tuner.results({}):
        runs = [trial for trial in tuner.recorder.trials_of(EXP) if trial.phase == "confirm"]
        for number in (1, 2, 3):
            own = {str(trial.candidate): trial for trial in runs if trial.settings["seed_data"] == number}
            earlier = [trial for trial in runs if trial.settings["seed_data"] < number]
            is_early = number == 2 and set(own) == {"ce"}
            assert not own or is_early or all(trial.is_finished for trial in earlier)
            assert "ce-lr" not in own or all(own[name].is_finished for name in ("best-1", "ce", "cb-ce-drw"))
    plan = tuner.confirmations[EXP]
    assert plan.num_ended == plan.num_runs == 10
    assert plan.has_result


def test_table_has_each_control_at_each_look_and_why_it_left(done: FakeTuner) -> None:
    table = findings(done.recorder.folder)
    assert table.groupby("look").rival.apply(sorted).to_dict() == dict.fromkeys((1, 2, 3), sorted(NAMES[1:]))
    assert set(table.subject) == {"best-1"}
    assert set(table.finding) == {"undecided"}
    assert table[table["look"] < 3].left.isna().all()
    assert set(table[table["look"] == 3].left) == {"max pairs"}
    frame = confirm_rows(done.recorder.folder).query("scenario == @EXP")
    tested = frame.set_index(["candidate", "seed_data"]).test_accuracy
    last = table[table["look"] == 3].set_index("rival")
    for name in NAMES[1:]:
        assert last.loc[name, "difference"] == pytest.approx((tested["best-1"] - tested[name]).mean())
        assert last.loc[name, "n"] == (1 if name == "ce-lr" else 3)
    assert set(table.margin) == {0.005}


def test_far_controls_end_the_confirmation_early(tmp_path: Path) -> None:
    space = one_scenario(confirm={**CONFIRM, "max_pairs": 8})
    tuner = FakeTuner(space, tmp_path / "fake", rising, test_score=far)
    tuner.run()
    table = findings(tmp_path / "fake")
    last = table.sort_values("look").drop_duplicates("rival", keep="last").set_index("rival")
    assert last.finding[["ce", "ce-lr"]].tolist() == ["better", "better"]
    assert table["look"].max() < 8
    assert len(tuner.tested) < 8 * 4
    lines = confirmation_lines(tuner.confirmations, tmp_path / "fake")
    assert not [line for line in lines if "undecided" in line or "--pairs" in line]


def test_configuration_that_is_worse_ends_it_and_is_named(tmp_path: Path) -> None:
    space = one_scenario(confirm={**CONFIRM, "max_pairs": 8})
    tuner = FakeTuner(space, tmp_path / "fake", rising, test_score=lambda config: 1.0 - far(config))
    tuner.run()
    lines = confirmation_lines(tuner.confirmations, tmp_path / "fake")
    (said,) = (line for line in lines if "is worse than" in line)
    assert said.startswith(f"{EXP}: `best-1` is worse than `ce`")
    assert "ce-lr" not in set(confirm_rows(tmp_path / "fake").candidate), "plain training at lr is ahead already"
    assert findings(tmp_path / "fake")["look"].max() < 8


@pytest.mark.parametrize("stop_after", [70, 90, 110, 130, 150, 190])
def test_killed_confirmation_ends_as_an_uninterrupted_one(tmp_path: Path, done: FakeTuner, stop_after: int) -> None:
    FakeTuner(confirmed_space(), tmp_path / "fake", rising, test_score=close).run(stop_after_results=stop_after)
    FakeTuner(confirmed_space(), tmp_path / "fake", rising, test_score=close).run()
    columns = ["trial_id", "candidate", "status", "lr", "metric_last"]
    one, other = (
        confirm_rows(folder)[columns].sort_values("trial_id") for folder in (tmp_path / "fake", done.recorder.folder)
    )
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))
    for scenario in (EXP, STEP):
        tables = [findings(folder, scenario) for folder in (tmp_path / "fake", done.recorder.folder)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_stage_one_of_a_pair_is_trained_once(done: FakeTuner) -> None:
    frame = confirm_rows(done.recorder.folder)
    forks = frame[frame.candidate.isin(["best-1"])]
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


def test_best_file_has_the_confirmed_configuration_with_all_numbers(done: FakeTuner) -> None:
    folder = done.recorder.folder
    frame = confirm_rows(folder).query("scenario == @EXP")
    means = frame.groupby("candidate").metric_last.mean()
    text = (folder / "best" / f"{EXP}.yaml").read_text()
    best = done.recorder.ranked(EXP)[0]
    assert f"confirmed on fresh seeds: best-1, trial {best.trial_id}." in text
    assert f"{means['best-1']:.4f} ± " in text
    assert "cb-ce-drw         n 3" in text
    assert "ce-lr             n 1" in text
    written = RunConfig.from_yaml(folder / "best" / f"{EXP}.yaml")
    assert written.attention is not None
    assert written.attention.lam == best.settings["lam"]
    assert (written.seeds.data, written.seeds.train) == (0, 0), "it reproduces the trial"


def test_summary_says_what_was_found_and_what_the_rest_would_take(done: FakeTuner) -> None:
    console = Console(file=io.StringIO(), width=160)
    print_summary(done.space, done.recorder, console, done.confirmations)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    (row, *_) = [line.split() for line in text.splitlines() if line.strip().startswith(EXP)]
    assert row[1] == "best-1"
    (ce, *_) = [line for line in text.splitlines() if line.strip().startswith("ce ")]
    assert ce.split()[1] == "3"
    assert "undecided" in ce
    last = findings(done.recorder.folder).query("look == 3").set_index("rival")
    assert f"{100 * last.loc['ce', 'difference']:+.2f} [" in ce
    needed = int(last.loc["ce", "pairs_needed"])
    assert f"{EXP}: undecided against `ce`: about {needed} more pairs for 80 % power" in " ".join(text.split())
    deciding = last.loc[[name for name in ("ce", "ce-lr") if name in last.index], "pairs_needed"]
    assert f"--pairs {3 + int(deciding.max())}" in text, "what the verdict needs"


def test_controls_that_wait_are_named_as_waiting(tmp_path: Path) -> None:
    """Plain training is not beaten, so `ce-lr` and focal loss wait."""
    controls = {"max_pairs": 2, "controls": ["ce", "ce-lr", "focal"]}
    space = one_scenario(confirm=controls)
    tuner = FakeTuner(
        space,
        tmp_path / "fake",
        rising,
        test_score=close,
    )
    tuner.run()
    lines = confirmation_lines(tuner.confirmations, tmp_path / "fake")
    assert f"{EXP}: undecided against `ce-lr` and `focal`: trained further once plain training is beaten" in lines
    assert any(line.startswith(f"{EXP}: undecided against `ce`: ") for line in lines)


def test_one_pair_claims_nothing_and_says_so(tmp_path: Path) -> None:
    tuner = FakeTuner(one_scenario(confirm={**CONFIRM, "max_pairs": 1}), tmp_path / "fake", rising, test_score=far)
    tuner.run()
    assert set(findings(tmp_path / "fake").finding) == {"undecided"}
    lines = confirmation_lines(tuner.confirmations, tmp_path / "fake")
    assert f"{EXP}: one pair of seeds allows no claim" in lines


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


def test_test_columns_do_not_affect_the_choice(tmp_path: Path, done: FakeTuner) -> None:
    """Test scores decide how many pairs are trained, never which configuration is chosen."""
    FakeTuner(confirmed_space(), tmp_path / "fake", rising, test_score=lambda config: 1.0 - far(config)).run()
    for scenario in (EXP, STEP):
        one, other = (folder / "best" / f"{scenario}.yaml" for folder in (tmp_path / "fake", done.recorder.folder))
        assert RunConfig.from_yaml(one) == RunConfig.from_yaml(other)
        assert one.read_text().splitlines()[0] == other.read_text().splitlines()[0].replace("run runs", "run fake")


def test_confirmation_starts_after_its_own_search_and_fills_free_places(tmp_path: Path) -> None:
    """One scenario's search is longer, so the other's confirmation trains beside it."""
    tuner = FakeTuner(confirmed_space(), tmp_path / "fake", rising, concurrent=3, test_score=far)
    seen = set()
    for _ in tuner.results({}):
        running = [trial for trial in tuner.recorder.trials.values() if trial.status == "running"]
        seen |= {frozenset(trial.phase for trial in running)}
        for trial in running:
            assert trial.phase != "confirm" or tuner.searcher.searches[trial.scenario].is_done
    assert frozenset({"search", "confirm"}) in seen
    assert tuner.most_live == 3


def test_images_are_read_once_for_each_data_seed_and_released(done: FakeTuner) -> None:
    read = [(config.imbalance.type, config.seeds.data) for config in done.read]
    assert sorted(read) == sorted(set(read)) == [(kind, seed) for kind in ("exp", "step") for seed in (0, 1, 2, 3)]
    assert done.store.keys == set()
    assert done.store.most <= 4


def test_space_or_session_without_confirmation_reads_no_test_set(tmp_path: Path) -> None:
    tuner = FakeTuner(confirmed_space(confirm=None), tmp_path / "fake", rising)
    tuner.run()
    assert tuner.tested == []
    assert set(trials(tmp_path / "fake").phase) == {"search", "control"}


def test_confirm_later_changes_nothing_in_the_search(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    first = FakeTuner(make_space(num_trials=8, early_stopping=None), folder, rising)
    first.run(stop_after_results=60)
    first.end_early()
    before = trials(folder).query("phase == 'search'")
    assert {"completed", "interrupted"} <= set(before.status)
    second = FakeTuner(make_space(num_trials=8, early_stopping=None), folder, rising, searches=False)
    second.run()
    after = trials(folder)
    pd.testing.assert_frame_equal(
        after[after.phase == "search"][["trial_id", "status"]], before[["trial_id", "status"]]
    )
    counts = after.query("phase == 'confirm'").groupby("scenario").candidate.nunique()
    assert (counts == 1 + 5).all(), "with the defaults, where the space has no settings for it; `ce` ties"
    third = FakeTuner(make_space(num_trials=8, early_stopping=None), folder, rising)
    third.run()
    assert len(trials(folder).query("phase == 'search'")) == 16
    assert third.tested == []


def test_extended_search_confirms_what_it_chooses_then_and_keeps_old_runs(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    first = FakeTuner(one_scenario(), folder, rising, concurrent=1, test_score=close)
    first.run()
    before = confirm_rows(folder).set_index("trial_id")
    again = FakeTuner(one_scenario(num_trials=16), folder, rising, concurrent=1, test_score=close)
    best_before = first.recorder.ranked(EXP)[0].trial_id
    again.run()
    after = confirm_rows(folder).set_index("trial_id")
    best = again.recorder.ranked(EXP)[0].trial_id
    assert best != best_before, "the seed finds a better one"
    same = ["lam", "lr", "metric_last", "test_accuracy", "seed_data"]
    pd.testing.assert_frame_equal(after.loc[before.index, same], before[same])
    assert set(again.tested) == set(after.index) - set(before.index)
    assert set(after[after.candidate == "best-1"].index) == {f"{best}-seed{number}" for number in (1, 2, 3)}
    assert after[after.candidate == "ce"].index.isin(before.index).all(), "the same control as before"
    gone = before.loc[after[after.candidate.isna()].index]
    assert {"best-1", "ce-lr"} <= set(gone.candidate) <= {"best-1", "ce-lr", "cb-ce-drw"}, "they belonged to another"
    assert set(findings(folder).finding) == {"undecided"}


def test_failed_and_diverged_confirmations_are_rows_left_out_of_means(tmp_path: Path) -> None:
    def breaks(config: RunConfig, epoch: int) -> float | None:
        is_deferred = config.class_balance.type != "none"
        return None if config.seeds.data == 2 and is_deferred and epoch == 8 else rising(config, epoch)

    folder = tmp_path / "fake"
    tuner = FakeTuner(one_scenario(), folder, breaks, test_score=close)
    tuner.run(fails={f"{EXP}-{number:04d}-seed3": 1 for number in range(4)})
    frame = confirm_rows(folder)
    assert frame.groupby("candidate").status.apply(sorted).to_dict() == {
        "best-1": ["completed", "completed", "failed"],
        "cb-ce-drw": ["completed", "completed", "diverged"],
        "ce": ["completed"] * 3,
        "ce-lr": ["completed"],
    }
    table = findings(folder).query("look == 3").set_index("rival")
    assert table.n.to_dict() == {"ce": 2, "ce-lr": 1, "cb-ce-drw": 1}
    assert table.num_left_out.to_dict() == {"ce": 1, "ce-lr": 0, "cb-ce-drw": 2}
    lines = confirmation_lines(tuner.confirmations, folder)
    assert f"{EXP}: 2 pairs left out of the comparison with `cb-ce-drw`, since a run on it has no score" in lines
    text = (folder / "best" / f"{EXP}.yaml").read_text()
    assert "best-1            n 2 of 3" in text
    assert frame[frame.status != "completed"].test_accuracy.isna().all()
    idle = Recorder(folder, records.SearchObjective(("val_accuracy",)), ScenarioImages())
    idle.load(retried=("control",))
    failed = [trial for trial in idle.trials.values() if trial.status == "failed"]
    assert [trial.error for trial in failed] == ["Boom"], "a session that does not confirm leaves them so"
    again = FakeTuner(one_scenario(), folder, breaks, test_score=close)
    again.run()
    assert sorted(set(again.tested)) == sorted(frame[frame.status == "failed"].trial_id), "failed ones are tried again"
    assert "best-1            n 3 " in (folder / "best" / f"{EXP}.yaml").read_text()
    assert findings(folder).query("look == 3").set_index("rival").n.to_dict() == {"ce": 3, "ce-lr": 1, "cb-ce-drw": 2}


def test_runs_beyond_what_a_retried_one_leaves_planned_stay_as_rows(tmp_path: Path) -> None:
    """A retry that decides an earlier look ends the confirmation there; the later runs were trained all the same."""
    space = one_scenario(confirm={**CONFIRM, "max_pairs": 8})
    whole = FakeTuner(space, tmp_path / "whole", rising, test_score=far)
    whole.run()
    folder = tmp_path / "fake"
    tuner = FakeTuner(space, folder, rising, test_score=far)
    tuner.run(fails={f"{EXP}-{number:04d}-seed2": 1 for number in range(4)})
    rows = confirm_rows(folder)
    assert findings(folder)["look"].max() > findings(tmp_path / "whole")["look"].max()
    again = FakeTuner(space, folder, rising, test_score=far)
    again.run()
    assert set(rows.trial_id) <= set(confirm_rows(folder).trial_id)
    pd.testing.assert_frame_equal(findings(folder), findings(tmp_path / "whole"))
    assert confirm_rows(folder).candidate.notna().all()


def test_lost_process_resumes_and_reads_the_test_set_once(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    tuner = FakeTuner(one_scenario(), folder, rising, test_score=close)
    tuner.run(loses={f"{EXP}-{number:04d}-seed1": [2, 1] for number in range(4)})
    frame = confirm_rows(folder)
    assert frame[(frame.candidate == "best-1") & (frame.seed_data == 1)].restarts.tolist() == [2]
    assert sorted(tuner.tested) == sorted(frame.trial_id)


def test_finished_confirmation_is_done_and_reads_no_fresh_images(done: FakeTuner) -> None:
    again = FakeTuner(confirmed_space(), done.recorder.folder, rising, test_score=close)
    assert again.searcher.is_done
    assert {config.seeds.data for config in again.read} == {0}, "those of the search, by the driver"


def test_more_pairs_are_trained_in_addition_also_after_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(one_scenario(), folder, rising, test_score=close).run()
    before, looks = set(confirm_rows(folder).trial_id), findings(folder)
    more = FakeTuner(one_scenario(confirm={**CONFIRM, "max_pairs": 4}), folder, rising, test_score=close)
    assert not more.searcher.is_done
    more.run()
    assert len(more.tested) == len(set(more.tested) - before) > 0
    assert {int(trial_id[-1]) for trial_id in more.tested} == {4}
    kept = findings(folder).query("look <= 3").drop(columns="left")
    pd.testing.assert_frame_equal(kept, looks.drop(columns="left"))


def earlier_folder(folder: Path) -> dict[str, str]:
    """Write a search and confirmation as the version before did: three configurations side by side on three pairs.

    Returns:
        Name -> trial of the configurations; `best-2` is the best on validation of the fresh seeds.
    """
    space = one_scenario(confirm=None)
    tuner = FakeTuner(space, folder, rising)
    tuner.run()
    recorder = tuner.recorder
    best = recorder.ranked(EXP)[:3]
    (plan,) = tuner.plans.values()
    for place, trial in enumerate(best, start=1):
        subject = Candidate(f"best-{place}", trial.trial_id, trial.config)
        members = with_controls(subject, plan.control, EXP, ("ce", "ce-lr", "cb-ce-drw")).members
        for one in members if place == 2 else members[:1]:
            for number in (1, 2, 3):
                config = on_pair(one.config, number)
                trial_id = confirm_id(one.run, number)
                recorder.start(TrialPlan(trial_id, EXP, "confirm", None, config, candidate=one.name, pair=number))
                value = 0.5 + (0.1 if place == 2 else 0.0)
                about = {"run": folder.name, "scenario": EXP, "trial_id": trial_id, "inherited": False}
                for epoch in range(config.epochs):
                    recorder._epoch_log.keep(about | vars(epoch_record(epoch, value)))
                score = close(config)
                recorder.trials[trial_id].test = {"test_accuracy": score, "test_balanced_accuracy": score}
                recorder.finish(trial_id, "completed")
    return {f"best-{place}": trial.trial_id for place, trial in enumerate(best, start=1)}


def test_confirmation_of_the_version_before_goes_on_with_its_winner(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    known = earlier_folder(folder)
    before = confirm_rows(folder).set_index("trial_id")
    assert len(before) == 3 * 6
    space = one_scenario(confirm={**CONFIRM, "max_pairs": 4})
    tuner = FakeTuner(space, folder, rising, searches=False, test_score=close)
    assert tuner.confirmations[EXP].candidates.members[0].run == known["best-2"]
    tuner.run()
    after = confirm_rows(folder).set_index("trial_id")
    pd.testing.assert_frame_equal(after.loc[before.index], before, check_dtype=False)
    assert {trial_id[-1] for trial_id in tuner.tested} == {"4"}, "what is trained is not trained again"
    table = findings(folder)
    assert set(table.subject) == {"best-2"}
    assert table.groupby("look").n.max().to_dict() == {1: 1, 2: 2, 3: 3, 4: 4}
    assert "confirmed on fresh seeds: best-2" in (folder / "best" / f"{EXP}.yaml").read_text()


def test_epoch_budget_ends_a_confirmation_and_a_larger_one_resumes_it(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    budget = 2 * (10 + 4 * 7) + 30
    first = FakeTuner(confirmed_space(epoch_budget=budget), folder, rising, test_score=close)
    first.run()
    assert first.stop.used_budget == "the epoch budget was used up"
    first.end_early()
    before = confirm_rows(folder)
    assert {"completed", "interrupted"} <= set(before.status)
    assert (folder / "best" / f"{EXP}.yaml").read_text().startswith("# Best trial so far of run")
    again = FakeTuner(confirmed_space(), folder, rising, test_score=close)
    again.run()
    assert set(confirm_rows(folder).status) == {"completed"}
    assert not set(again.tested) & set(before[before.status == "completed"].trial_id)


def test_checkpoints_of_confirmations_go_when_they_end(done: FakeTuner) -> None:
    left = [path.parent.name for path in done.recorder.folder.glob("scenarios/*/checkpoints/*/*.pt")]
    assert set(left) == {done.recorder.ranked(scenario)[0].trial_id for scenario in (EXP, STEP)}


def test_reading_a_confirmation_changes_no_record(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    FakeTuner(confirmed_space(), folder, rising, test_score=close).run()
    extended = FakeTuner(confirmed_space(num_trials=6), folder, rising, test_score=close)
    for _ in extended.results({}):
        before = [trial.to_row() for trial in extended.recorder.trials.values()]
        for one in extended.confirmations.values():
            _ = (
                one.candidates,
                one.rounds,
                one.runs,
                one.num_runs,
                one.num_ended,
                one.epochs_left,
                one.is_done,
                one.has_result,
            )
            one.results()
        assert [trial.to_row() for trial in extended.recorder.trials.values()] == before


def test_classes_without_a_test_image_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = FinalMetrics(records.TestMetrics(1.0, 0.5, 0.5, (0.5,) * 3 + (None,) + (0.5,) * 6, 0.5, 0.5, 0.1))
    monkeypatch.setattr("tests.support.fake_tuner.fake_test", lambda _trainer, _run: few)
    tuner = FakeTuner(confirmed_space(), tmp_path / "fake", rising)
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
    assert said.endswith("each complete run read the test set once, and chose no configuration by it") is is_tested
    assert said.endswith("no test set was read") is not is_tested


def test_spread_of_the_search_is_the_one_of_the_first_look_also_later(tmp_path: Path) -> None:
    def space(pairs: int) -> SearchSpace:
        return one_scenario(seeds={"pairs": 3}, confirm={**CONFIRM, "max_pairs": pairs})

    folder = tmp_path / "fake"
    FakeTuner(space(1), folder, noisy_rising, test_score=close).run()
    first = findings(folder)
    assert (first.earlier_variance > 0).all()
    assert (first.earlier_df > 0).all()
    file = records.confirmation_file(folder, EXP)
    first.assign(earlier_variance=0.25).to_parquet(file)  # as if the search had been extended since that look
    FakeTuner(space(2), folder, noisy_rising, test_score=close).run()
    assert set(findings(folder).earlier_variance) == {0.25}
    late = first.drop(columns=["subject_trial", "earlier_variance", "earlier_df"])
    late.to_parquet(file)  # as an earlier version wrote it
    FakeTuner(space(3), folder, noisy_rising, test_score=close).run()
    later = findings(folder)
    assert later["look"].max() == 3
    assert later.earlier_variance.isna().all(), "its claims do without the spread of the search"


def test_a_stop_after_an_extension_that_chooses_anew_changes_nothing(tmp_path: Path) -> None:
    def search(folder: Path, trials: int, stop: int | None = None) -> pd.DataFrame:
        space = one_scenario(seeds={"pairs": 3}, num_trials=trials)
        tuner = FakeTuner(space, folder, noisy_rising, concurrent=1, test_score=close)
        tuner.run(stop_after_results=stop)
        tuner.end_early()
        return findings(folder)

    first = search(tmp_path / "whole", 4)
    expected = search(tmp_path / "whole", 16)
    assert set(first.subject_trial) != set(expected.subject_trial)
    assert set(first.earlier_variance) != set(expected.earlier_variance), "its own spread"
    search(tmp_path / "first", 4)
    for stop in (60, 110, 130):
        folder = Path(shutil.copytree(tmp_path / "first", tmp_path / str(stop) / "whole"))
        search(folder, 16, stop)
        pd.testing.assert_frame_equal(search(folder, 16), expected)


def test_what_waits_and_what_the_budget_ended_are_told_apart(tmp_path: Path) -> None:
    controls = {"max_pairs": 12, "controls": ["ce", "ce-lr", "cb-ce-drw", "focal"]}
    whole = FakeTuner(one_scenario(confirm=controls), tmp_path / "whole", rising, test_score=staggered)
    whole.run()
    rounds = whole.confirmations[EXP].rounds
    assert rounds is not None
    was_beaten = set()
    for budget in range(16 * 4, rounds.epochs, 28):
        folder, space = tmp_path / str(budget), one_scenario(confirm={**controls, "epoch_budget": budget})
        tuner = FakeTuner(space, folder, rising, test_score=staggered)
        tuner.run()
        lines = confirmation_lines(tuner.confirmations, folder)
        waiting = [line for line in lines if line.endswith("trained further once plain training is beaten")]
        is_beaten = "better" in set(findings(folder).query("rival == 'ce'").finding)
        assert ("`ce-lr`" in " ".join(waiting)) != is_beaten
        (command,) = [line for line in lines if "go on with" in line]
        assert "--pairs" not in command
        assert "larger `confirm.epoch_budget`" in command
        was_beaten.add(is_beaten)
    assert was_beaten == {False, True}


def noisy_rising(config: RunConfig, epoch: int) -> float:
    """Return a metric that differs between trials and seed pairs."""
    return rising(config, epoch) + 0.01 * random.Random(f"{config.attention} {config.seeds}").random()
