"""The search over further seed pairs on curves: which trials go on, what is chosen, and a resume after a kill."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from absgd.config import RunConfig
from absgd.records import STATUSES
from tests.support.fake_searches import EXP, study_trials, trials
from tests.support.fake_trainer import FakeTrainer
from tests.support.fake_tuner import SPACE, FakeTuner, rising
from tests.support.searches_over_pairs import (
    assert_equal,
    assert_kills_leave_the_same_tables,
    lucky,
    pairs_space,
    replicates,
)
from tune_runs.driver.scenario_progress import scenario_progress
from tune_runs.driver.search_summary import print_summary
from tune_runs.request.warm_start import warm_start_of


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> FakeTuner:
    tuner = FakeTuner(pairs_space(), tmp_path_factory.mktemp("runs") / "fake", lucky)
    tuner.run()
    return tuner


def test_the_best_of_each_pair_go_on_to_the_next(done: FakeTuner) -> None:
    frame = trials(done.recorder.folder)
    on_first = frame.query("phase == 'search'").sort_values("metric_last", ascending=False)
    again = replicates(done.recorder.folder)
    assert set(again[again.pair == 1].number) == set(on_first.number[:3])
    on_both = again[again.pair == 1].sort_values("metric_last", ascending=False)
    assert set(again[again.pair == 2].number) == set(on_both.number[:2])
    assert set(again.status) == {"completed"}
    assert (again.epochs_trained + again.epochs_inherited == 10).all()
    assert {(row.pair, row.seed_data, row.seed_train) for row in again.itertuples()} == {(1, 1, 1), (2, 2, 2)}


def test_a_replicate_is_its_trial_with_other_seeds_and_forks_from_the_control_of_its_pair(done: FakeTuner) -> None:
    frame = trials(done.recorder.folder).set_index("trial_id")
    for trial_id, row in frame[frame.phase == "replicate"].iterrows():
        trial = frame.loc[str(trial_id).removesuffix(f"-pair{row.pair}")]
        assert (row.lam, row.gamma, row.number) == (trial.lam, trial.gamma, trial.number)
        control = frame.loc[f"{EXP}-control-pair{row.pair}"]
        assert row.stage_one_key == control.stage_one_key != trial.stage_one_key
        assert row.epochs_inherited == row.switch_epoch
    assert (frame[frame.phase == "control"].pair.tolist(), len(frame)) == ([0, 1, 2], 9 + 3 + 3 + 2)


def test_the_score_is_the_mean_gain_over_the_controls_of_the_pairs(done: FakeTuner) -> None:
    best, second, third, *rest = done.recorder.scores(EXP)
    on_pair_0 = [trial for trial in done.recorder.trials_of(EXP) if trial.phase == "search"]
    lucky_one = max(on_pair_0, key=lambda trial: trial.summary.metric_last or 0)
    assert (best.num_pairs, second.num_pairs, third.num_pairs, rest[0].num_pairs) == (3, 3, 2, 1)
    gamma = best.trial.settings["gamma"]
    assert dict(best.gains) == {pair: pytest.approx(gamma / 10) for pair in range(3)}
    assert best.mean_gain == pytest.approx(gamma / 10)
    assert best.gain_std == pytest.approx(0, abs=1e-9)
    if lucky_one.settings["gamma"] > 0.95:
        assert lucky_one.trial_id == third.trial.trial_id, "its luck did not hold"
    assert [score.trial for score in done.recorder.scores(EXP)] == done.recorder.ranked(EXP)


def test_the_study_knows_pair_0_alone_and_no_test_set_is_read(done: FakeTuner) -> None:
    assert len(study_trials(done.recorder.folder, EXP)) == 9
    assert done.tested == []
    assert done.searcher.is_done


def test_images_of_a_pair_are_read_when_needed_and_released_after_its_last_run(done: FakeTuner) -> None:
    assert [config.seeds.data for config in done.read] == [0, 1, 2]
    assert done.store.keys == set()
    assert done.store.most == 2


@pytest.mark.parametrize(
    ("changes", "num_completed"),
    [({}, 0), ({"epoch_budget": 1000}, 2)],
    ids=["while trials wait for stage one", "under a budget"],
)
def test_only_the_control_of_the_first_further_pair_starts_before_its_trials_are_known(
    tmp_path: Path, changes: dict[str, Any], num_completed: int
) -> None:
    tuner = FakeTuner(pairs_space(**changes), tmp_path / "fake", lucky, concurrent=2)
    early, before = set(), None
    for _ in tuner.results({}):
        records = tuner.recorder.trials.values()
        pairs = {trial.pair for trial in records if trial.status == "running" and trial.phase != "control"}
        begun = {trial.pair for trial in records if trial.phase == "control"}
        early |= {pair for pair in pairs if pair is not None and pair + 1 in begun}
        if before is None and 1 in begun:
            before = sum(trial.phase == "search" and trial.status == "completed" for trial in records)
    assert early == {0}
    assert before is not None
    assert before >= num_completed
    assert num_completed or before == 0


def test_one_pair_is_the_search_of_earlier_versions(tmp_path: Path) -> None:
    space = pairs_space(seeds={"pairs": 1})
    assert "seeds" not in space.decisive()
    FakeTuner(space, tmp_path / "fake", lucky).run()
    assert set(trials(tmp_path / "fake").phase) == {"search", "control"}


@pytest.mark.parametrize("concurrent", [1, 3])
def test_a_kill_at_any_moment_leaves_the_same_tables(tmp_path: Path, concurrent: int) -> None:
    """tests/system kills at every third moment."""
    assert_kills_leave_the_same_tables(tmp_path, concurrent, every=9)


def test_an_interrupted_search_over_pairs_resumes_where_it_was(tmp_path: Path, done: FakeTuner) -> None:
    tuner = FakeTuner(pairs_space(), tmp_path / "fake", lucky)
    for trial_id in tuner.results({}):
        if trial_id.endswith("-pair2"):
            break
    tuner.end_early()
    before = FakeTrainer.epochs_trained
    FakeTuner(pairs_space(), tmp_path / "fake", lucky).run()
    assert_equal(tmp_path / "fake", done.recorder.folder)
    assert FakeTrainer.epochs_trained - before < 10 + 2 * 7


def test_extended_search_keeps_its_replicates_and_adds_those_of_better_trials(tmp_path: Path) -> None:
    FakeTuner(pairs_space(num_trials=5), tmp_path / "fake", lucky).run()
    before = trials(tmp_path / "fake").set_index("trial_id")
    FakeTuner(pairs_space(num_trials=12), tmp_path / "fake", lucky).run()
    after = trials(tmp_path / "fake").set_index("trial_id")
    assert set(before.index) <= set(after.index)
    again = before.index[before.phase == "replicate"]
    pd.testing.assert_frame_equal(after.loc[again], before.loc[again])
    on_first = after.query("phase == 'search'").sort_values("metric_last", ascending=False)
    on_pair_1 = set(after.query("phase == 'replicate' and pair == 1").number)
    assert on_pair_1 == set(on_first.number[:4]) | set(before.loc[again].number)
    assert set(after.status) <= set(STATUSES)


def test_a_clear_winner_of_an_extension_is_not_behind_trials_on_more_pairs(tmp_path: Path) -> None:
    scores = ((0.100, 0.120, 0.110), (0.110, 0.108, 0.112), (0.0, 0.0, 0.0), (0.50, 0.51, 0.505))
    order: dict[float, int] = {}

    def curve(config: RunConfig, epoch: int) -> float:
        if config.attention is None:
            return 0.0
        place = order.setdefault(config.attention.lam, len(order))
        return scores[place][config.seeds.data]

    FakeTuner(pairs_space(num_trials=3), tmp_path / "fake", curve, concurrent=1).run()
    assert set(replicates(tmp_path / "fake").query("pair == 2").number) == {0, 1}
    tuner = FakeTuner(pairs_space(num_trials=4), tmp_path / "fake", curve, concurrent=1)
    tuner.run()
    assert set(replicates(tmp_path / "fake").query("pair == 2").number) == {0, 1, 3}
    best = tuner.recorder.best(EXP)
    assert best is not None
    assert best.number == 3


def test_a_replicate_that_diverges_puts_its_trial_behind_and_does_not_go_on(tmp_path: Path) -> None:
    def diverging(config: RunConfig, epoch: int) -> float | None:
        gamma = config.attention.gamma if config.attention else 0.0
        return None if config.seeds.data == 1 and gamma > 0.95 else rising(config, epoch)

    tuner = FakeTuner(pairs_space(), tmp_path / "fake", diverging)
    tuner.run()
    again = replicates(tmp_path / "fake")
    lost = set(again[again.status == "diverged"].number)
    assert lost
    assert not lost & set(again[again.pair == 2].number)
    scores = tuner.recorder.scores(EXP)
    on_pair_1 = [score for score in scores if score.num_pairs == 2]
    assert [score.num_lost for score in on_pair_1] == sorted(score.num_lost for score in on_pair_1)
    assert tuner.searcher.is_done


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_trials_go_on_where_the_control_of_a_pair_was_lost(tmp_path: Path, status: str) -> None:
    def broken(config: RunConfig, epoch: int) -> float | None:
        is_lost = status == "diverged" and config.seeds.data == 1 and not config.attention and epoch == 7
        return None if is_lost else lucky(config, epoch)

    tuner = FakeTuner(pairs_space(), tmp_path / "fake", broken)
    tuner.run(fails={f"{EXP}-control-pair1": 7} if status == "failed" else {})
    frame = trials(tmp_path / "fake").set_index("trial_id")
    assert frame.status[f"{EXP}-control-pair1"] == status
    assert len(replicates(tmp_path / "fake")) == 5
    best = tuner.recorder.scores(EXP)[0]
    assert set(best.gains) == {0, 2}
    if status == "failed":
        again = FakeTuner(pairs_space(), tmp_path / "fake", broken)
        again.run()
        assert set(again.recorder.scores(EXP)[0].gains) == {0, 1, 2}, "it was tried again"


def test_with_one_completed_trial_there_is_nothing_to_compare(tmp_path: Path) -> None:
    tuner = FakeTuner(pairs_space(num_trials=1), tmp_path / "fake", lucky)
    tuner.run()
    assert len(trials(tmp_path / "fake")) == 2
    assert tuner.searcher.is_done


def test_without_completed_trials_nothing_goes_on(tmp_path: Path) -> None:
    def diverging(config: RunConfig, epoch: int) -> float | None:
        return None if config.attention else 0.01 * epoch

    tuner = FakeTuner(pairs_space(), tmp_path / "fake", diverging)
    tuner.run()
    assert tuner.searcher.is_done
    assert set(trials(tmp_path / "fake").query("pair > 0").phase) == {"control"}, "it began with the search"


@pytest.mark.parametrize("moment", [2, 5, 9])
def test_control_that_no_trial_follows_ends_in_a_resumed_session_too(tmp_path: Path, moment: int) -> None:
    def one_completes(config: RunConfig, epoch: int) -> float | None:
        return None if config.attention and config.attention.gamma < 0.95 else 0.01 * epoch

    tuner = FakeTuner(pairs_space(), tmp_path / "fake", one_completes, concurrent=2)
    for _ in zip(range(moment), tuner.results({}), strict=False):
        pass
    tuner.end_early()
    again = FakeTuner(pairs_space(), tmp_path / "fake", one_completes, concurrent=1)
    again.run()
    frame = trials(tmp_path / "fake").set_index("trial_id")
    assert frame.status[f"{EXP}-control-pair1"] == "completed"
    assert not set(frame.status) & {"running", "interrupted"}
    assert again.searcher.is_done
    assert again.store.keys == set(), "its images are released"


def test_a_further_stage_one_has_a_control_on_a_pair_where_that_saves_epochs(tmp_path: Path) -> None:
    search = {**SPACE["search"], "optimizer.lr": {"choices": [0.05, 0.1]}, "switch_epoch": {"low": 8, "high": 9}}
    space = pairs_space(num_trials=24, search=search, seeds={"pairs": 2, "reduction_factor": 2})
    FakeTuner(space, tmp_path / "fake", rising).run()
    frame = trials(tmp_path / "fake")
    again = frame.query("phase == 'replicate'")
    assert again.groupby("lr").size().min() >= 2
    assert len(frame.query("phase == 'control' and pair == 1")) == 2
    assert (again.epochs_inherited == again.switch_epoch).all()


def test_replicates_of_a_stage_one_of_their_own_train_from_their_first_epoch(tmp_path: Path) -> None:
    search = {**SPACE["search"], "optimizer.lr": {"low": 0.01, "high": 0.1}}
    FakeTuner(pairs_space(search=search), tmp_path / "fake", rising).run()
    frame = trials(tmp_path / "fake")
    assert (frame.epochs_inherited == 0).all()
    assert len(frame.query("phase == 'control'")) == 3


def test_checkpoints_of_trials_that_may_still_be_chosen_stay(tmp_path: Path) -> None:
    tuner = FakeTuner(pairs_space(), tmp_path / "fake", lucky)
    folder = tmp_path / "fake/scenarios" / EXP / "checkpoints"
    seen = []
    for trial_id in tuner.results({}):
        if trial_id.endswith("-pair1") and "control" not in trial_id:
            seen.append(len([path for path in folder.iterdir() if "-pair" not in path.name]))
    assert (set(seen[:-1]), seen[-1]) == ({3}, 2), "once the last has ended, those of the next pair"
    assert [path.name for path in folder.iterdir()] == [tuner.recorder.ranked(EXP)[0].trial_id]


@pytest.mark.parametrize("is_worth_it", [True, False])
def test_a_lost_trunk_of_a_pair_is_trained_again_where_that_saves_epochs(tmp_path: Path, is_worth_it: bool) -> None:
    seeds = {"pairs": 2, "reduction_factor": 2 if is_worth_it else 5}
    space = pairs_space(seeds=seeds)
    tuner = FakeTuner(space, tmp_path / "fake", rising, concurrent=1)
    for trial_id in tuner.results({}):
        if trial_id.startswith(f"{EXP}-0") and trial_id.endswith("-pair1"):
            break
    shutil.rmtree(tmp_path / "fake/scenarios" / EXP / "trunks")
    again = FakeTuner(space, tmp_path / "fake", rising)
    again.run()
    frame = replicates(tmp_path / "fake")
    inherits = frame.epochs_inherited > 0
    assert inherits.all() == is_worth_it
    assert (frame.epochs_trained + frame.epochs_inherited == 10).all()
    assert frame.metric_last.tolist() == [pytest.approx(gamma / 10) for gamma in frame.gamma]


def test_a_lost_trunk_of_a_pair_is_trained_again_for_the_trials_of_an_extension(tmp_path: Path) -> None:
    """While the new trials train on pair 0, nothing is planned that forks from it."""
    search = {**SPACE["search"], "switch_epoch": {"low": 5, "high": 6}}
    few, more = (pairs_space(num_trials=n, search=search, seeds={"pairs": 2, "reduction_factor": 2}) for n in (4, 16))
    FakeTuner(few, tmp_path / "fake", rising).run()
    before = set(replicates(tmp_path / "fake").number)
    shutil.rmtree(tmp_path / "fake/scenarios" / EXP / "trunks")
    FakeTuner(more, tmp_path / "fake", rising).run()
    frame = replicates(tmp_path / "fake")
    new = frame[~frame.number.isin(before)]
    assert len(new) >= 3
    assert (new.epochs_inherited == new.switch_epoch).all()


@pytest.mark.parametrize("concurrent", [1, 5])
def test_what_a_trial_inherits_does_not_depend_on_which_processor_is_idle(tmp_path: Path, concurrent: int) -> None:
    """Too many stage ones are possible for trials to share them, but the best happen to have that of the control."""
    rates = [round(0.1 + 0.01 * place, 2) for place in range(12)]
    search = {**SPACE["search"], "optimizer.lr": {"choices": rates}, "switch_epoch": {"low": 4, "high": 5}}
    points = [
        {"gamma": 0.3 + 0.05 * place, "switch_epoch": 5, "optimizer.lr": rates[0 if place > 7 else place]}
        for place in range(12)
    ]  # the control has the stage one of the first
    seeds = {"pairs": 2, "reduction_factor": 3}
    space = pairs_space(num_trials=12, search=search, seeds=seeds, enqueue=points)
    tuner = FakeTuner(space, tmp_path / "fake", rising, concurrent=concurrent)
    assert not tuner.plans[EXP].sharing.shares
    tuner.run()
    frame = replicates(tmp_path / "fake")
    assert set(frame.lr) == {rates[0]}
    assert (frame.epochs_inherited == 5).all()


def test_lost_processes_continue_on_further_pairs(tmp_path: Path, done: FakeTuner) -> None:
    again = replicates(done.recorder.folder)
    lost = [f"{EXP}-control-pair1", again.trial_id.iloc[0]]
    FakeTuner(pairs_space(), tmp_path / "fake", lucky).run(loses={trial_id: [2] for trial_id in lost})
    frame = trials(tmp_path / "fake")
    assert set(frame[frame.restarts == 1].trial_id) == set(lost)
    columns = ["trial_id", "status", "metric_last"]
    one, other = (
        trials(folder)[columns].sort_values("trial_id").reset_index(drop=True)
        for folder in (tmp_path / "fake", done.recorder.folder)
    )
    pd.testing.assert_frame_equal(one, other)


def test_an_epoch_budget_ends_the_search_over_pairs_too(tmp_path: Path) -> None:
    spent = FakeTuner(pairs_space(), tmp_path / "whole", lucky)
    spent.run()
    budget = spent.recorder.epochs_trained - 5
    tuner = FakeTuner(pairs_space(epoch_budget=budget), tmp_path / "fake", lucky)
    tuner.run()
    assert tuner.stop.used_budget == "the epoch budget was used up"
    assert not tuner.searcher.is_done


def test_the_configuration_is_confirmed_after_the_last_pair_and_on_fresh_ones(tmp_path: Path) -> None:
    confirm = {"max_pairs": 2, "controls": ["ce"]}
    tuner = FakeTuner(pairs_space(seeds={"pairs": 2}, confirm=confirm), tmp_path / "fake", rising)
    seen = []
    for _ in tuner.results({}):
        rows = tuner.recorder.trials.values()
        if any(trial.candidate == "best-1" for trial in rows):
            seen.append({trial.status for trial in rows if trial.phase == "replicate"})
    assert seen
    assert all(statuses == {"completed"} for statuses in seen)
    frame = trials(tmp_path / "fake").query("phase == 'confirm'")
    assert {(row.pair, row.seed_data, row.seed_train) for row in frame.itertuples()} == {(2, 2, 2), (3, 3, 3)}
    assert set(frame[frame.candidate == "best-1"].lam) == {tuner.recorder.ranked(EXP)[0].settings["lam"]}


def test_a_search_that_is_confirmed_early_trains_no_further_pair(tmp_path: Path) -> None:
    space = pairs_space(confirm={"max_pairs": 1, "controls": ["ce"]})
    tuner = FakeTuner(space, tmp_path / "fake", rising)
    for trial_id in tuner.results({}):
        if trial_id.endswith("-pair1") and "control" not in trial_id:
            break
    before = set(trials(tmp_path / "fake").query("phase != 'confirm'").trial_id)
    FakeTuner(space, tmp_path / "fake", rising, searches=False).run()
    after = trials(tmp_path / "fake")
    assert set(after.query("phase != 'confirm'").trial_id) == before
    assert set(after.query("phase == 'confirm'").status) == {"completed"}


def test_the_file_of_the_best_and_the_summary_say_over_how_many_pairs(done: FakeTuner) -> None:
    text = (done.recorder.folder / f"best/{EXP}.yaml").read_text()
    gain = done.recorder.scores(EXP)[0].mean_gain
    assert f"# Mean gain over the plain control of each pair of seeds: {gain:+.4f} ± 0.0000 (3 pairs).\n" in text
    console = Console(file=io.StringIO(), width=160)
    print_summary(done.space, done.recorder, console)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert f"{gain:+.4f} ± 0.0000 (3 pairs)" in printed
    assert "from the first pair of seeds" in printed


def test_progress_counts_trials_on_further_pairs_and_their_epochs(tmp_path: Path) -> None:
    tuner = FakeTuner(pairs_space(), tmp_path / "fake", lucky)
    pairs = tuner.searcher.further_pairs[EXP]
    along = [scenario_progress(tuner.space, tuner.recorder, tuner.plans[EXP], pairs=pairs) for _ in tuner.results({})]
    assert along[0].on_pairs == (0, 5)
    assert along[-1].on_pairs == (5, 5)
    left = [one.epochs_left for one in along]
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert along[-1].states == {"completed": 9, "waiting": 0}


def test_points_of_a_warm_start_are_the_best_over_pairs(done: FakeTuner) -> None:
    points = warm_start_of(pairs_space(), done.recorder.folder).points[EXP]
    ranked = done.recorder.ranked(EXP)[:5]
    assert [point["gamma"] for point in points] == [trial.settings["gamma"] for trial in ranked]


def test_a_failed_run_on_a_further_pair_is_tried_again_until_the_confirmation_has_begun(tmp_path: Path) -> None:
    space = pairs_space(seeds={"pairs": 2}, confirm={"max_pairs": 1, "controls": ["ce"]})
    tuner = FakeTuner(space, tmp_path / "fake", rising)
    for trial_id in tuner.results({f"{EXP}-0000-pair1": 5, f"{EXP}-0005-pair1": 5}):
        if tuner.recorder.trials[trial_id].status == "failed":
            break
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "fake", copy)
    FakeTuner(space, copy, rising).run()
    assert set(replicates(copy).status) == {"completed"}, "it was tried again"
    FakeTuner(space, tmp_path / "fake", rising, searches=False).run()
    FakeTuner(space, tmp_path / "fake", rising).run()
    assert "failed" in set(replicates(tmp_path / "fake").status), "the choice was made"


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_a_failed_control_of_a_further_pair_is_tried_again_until_the_confirmation_has_begun(
    tmp_path: Path, is_confirmed: bool
) -> None:
    confirm = {"confirm": {"max_pairs": 1, "controls": ["ce"]}} if is_confirmed else {}
    space = pairs_space(seeds={"pairs": 2}, **confirm)
    FakeTuner(space, tmp_path / "fake", rising).run(fails={f"{EXP}-control-pair1": 5})
    best = (tmp_path / f"fake/best/{EXP}.yaml").read_text()
    before = FakeTrainer.epochs_trained
    FakeTuner(space, tmp_path / "fake", rising).run()
    controls = trials(tmp_path / "fake").query("phase == 'control'").set_index("pair")
    assert controls.status[1] == ("failed" if is_confirmed else "completed")
    assert (FakeTrainer.epochs_trained == before) == is_confirmed
    assert ((tmp_path / f"fake/best/{EXP}.yaml").read_text() == best) == is_confirmed
