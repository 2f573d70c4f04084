"""Runs of a confirmation that begin before the search has chosen: which they are, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from absgd import records
from absgd.config import RunConfig
from absgd.errors import UserError
from tests.support.fake_searches import EXP, trials
from tests.support.fake_tuner import SPACE, FakeTuner, rising
from tests.support.made_up_scores import close
from tests.support.searches_over_pairs import assert_equal, pairs_space, resumed_after_kills
from tune_runs.confirmation.candidates import Candidate, with_controls
from tune_runs.confirmation.certain_runs import certain_runs_of, in_common
from tune_runs.confirmation.scenario_confirmation import ScenarioConfirmation
from tune_runs.driver.scenario_progress import scenario_progress
from tune_runs.preview.confirm_cost import most_confirm_epochs
from tune_runs.progress.recorded_progress import read_search
from tune_runs.request.search_request import resume_request
from tune_runs.space.model import SearchSpace
from tune_runs.space.space_sections import ControlName

CONTROLS: list[ControlName] = ["ce", "ce-lr", "cb-ce-drw", "focal"]
CONFIRM: dict[str, Any] = {"max_pairs": 3, "controls": CONTROLS}
CERTAIN = [("ce", 3), ("ce", 4), ("focal", 3)]
"""Candidate and pair of the runs that are certain in a search over three pairs, in their order."""


def members_of(**changes: Any) -> tuple[Candidate, ...]:
    """The candidates of a confirmation whose configuration has some settings changed."""
    attention = {"lam": 2.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 4}
    config = RunConfig.from_dict({**SPACE["base"], "loss": {"name": "abce"}, "attention": attention})
    subject = Candidate("best-1", str(changes), config.with_values(changes))
    return with_controls(subject, config.stage_one(), "x", CONTROLS).members


def certain(**changes: Any) -> Any:
    return certain_runs_of(members_of(**changes), first_pair=3, max_pairs=2)


def named(runs: Any) -> list[tuple[str, int]]:
    return [(run.candidate, run.pair) for run in runs]


def test_runs_that_wait_for_no_other_and_for_no_score_are_certain() -> None:
    assert named(certain().values()) == CERTAIN
    assert named(certain_runs_of(members_of(), first_pair=3, max_pairs=1).values()) == [("ce", 3), ("focal", 3)]


def test_runs_that_are_the_same_for_every_configuration_save_snapshots_for_the_forks_of_all() -> None:
    early, late, other = certain(), certain(**{"attention.switch_epoch": 7}), certain(**{"optimizer.lr": 0.3})
    common = in_common([early, late])
    assert named(common) == CERTAIN
    assert {run.candidate: run.save_at for run in common} == {"ce": (4, 7, 10), "focal": ()}
    assert [run.trunk_key is None for run in common] == [False, False, True]
    assert in_common([early, other]) == ()
    assert in_common([early]) == tuple(early.values())


def space_with(**changes: Any) -> SearchSpace:
    return pairs_space(**{"confirm": CONFIRM, **changes})


def searched(folder: Path, space: SearchSpace, concurrent: int = 6) -> FakeTuner:
    tuner = FakeTuner(space, folder, rising, concurrent=concurrent, test_score=close)
    tuner.run()
    return tuner


def starts_of(tuner: FakeTuner) -> list[str]:
    return [plan.trial_id for plan in tuner.searcher.plans.values()]


def begun_before_choice(tuner: FakeTuner) -> list[tuple[str | None, int]]:
    """Candidate and pair of the runs of the confirmation that began before the last run of the search did."""
    plans = list(tuner.searcher.plans.values())
    last = max(place for place, plan in enumerate(plans) if plan.phase == "replicate")
    return [(plan.candidate, plan.pair) for plan in plans[:last] if plan.phase == "confirm"]


def test_runs_that_are_certain_fill_what_the_search_leaves_idle(tmp_path: Path) -> None:
    assert begun_before_choice(searched(tmp_path / "idle", space_with())) == CERTAIN
    assert begun_before_choice(searched(tmp_path / "busy", space_with(), concurrent=1)) == []


@pytest.mark.parametrize("concurrent", [2, 6])
def test_tables_are_those_of_a_confirmation_that_begins_after_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, concurrent: int
) -> None:
    early = searched(tmp_path / "early", space_with(), concurrent)
    monkeypatch.setattr(ScenarioConfirmation, "_certain_runs", lambda _: ())
    late = searched(tmp_path / "late", space_with(), concurrent)
    assert begun_before_choice(late) == []
    assert starts_of(early) != starts_of(late)
    assert sorted(starts_of(early)) == sorted(starts_of(late))
    assert_equal(tmp_path / "early", tmp_path / "late")
    tables = [pd.read_parquet(records.confirmation_file(tmp_path / name, EXP)) for name in ("early", "late")]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_kill_at_any_moment_leaves_the_same_tables(tmp_path: Path) -> None:
    space = space_with(
        num_trials=5, enqueue=[{"gamma": gamma, "switch_epoch": 3} for gamma in (0.9, 0.1, 0.4, 0.5, 0.2)]
    )

    def make(folder: Path) -> FakeTuner:
        return FakeTuner(space, folder, rising, concurrent=5, test_score=close)

    for killed, resumed in resumed_after_kills(make, tmp_path, every=7):
        assert not set(resumed.tested) & set(killed.tested), "the test set was read twice"
    assert begun_before_choice(killed)


def interrupted_before_choice(folder: Path, fails: str | None = None) -> FakeTuner:
    """A search that ends once a run of the confirmation has begun, and the run `fails` has failed."""
    tuner = FakeTuner(space_with(), folder, rising, concurrent=6, test_score=close)
    for _ in tuner.results({fails: 2} if fails else {}):
        runs = tuner.recorder.trials
        is_begun = any(trial.phase == "confirm" for trial in runs.values())
        if is_begun and (fails is None or (fails in runs and runs[fails].status == "failed")):
            break
    tuner.end_early()
    return tuner


def test_resume_tries_failed_runs_of_the_search_again_that_early_runs_have_not_decided(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", space_with())
    fails = f"{whole.recorder.ranked(EXP)[0].trial_id}-pair1"
    interrupted_before_choice(tmp_path / "failed", fails)
    resumed = searched(tmp_path / "failed", space_with())
    assert resumed.recorder.trials[fails].status == "completed"
    assert_equal(tmp_path / "failed", tmp_path / "whole")


def test_status_from_files_knows_that_pairs_follow(tmp_path: Path) -> None:
    tuner = interrupted_before_choice(tmp_path / "fake")
    (recorded,) = read_search(tmp_path / "fake").progress
    shown = scenario_progress(tuner.space, tuner.recorder, tuner.plans[EXP], pairs=tuner.searcher.further_pairs[EXP])
    assert recorded.on_pairs == shown.on_pairs


def test_fewer_pairs_may_be_asked_for_while_only_controls_have_begun(tmp_path: Path) -> None:
    interrupted_before_choice(tmp_path / "early")
    asked = resume_request(tmp_path / "early", settings={"confirm.max_pairs": 1})
    assert asked.space.confirm is not None
    assert asked.space.confirm.max_pairs == 1
    searched(tmp_path / "done", space_with())
    with pytest.raises(UserError, match="expected at least 3 fresh pairs"):
        resume_request(tmp_path / "done", settings={"confirm.max_pairs": 1})


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch_budget": 10_000},
        {"time_budget": "1h"},
        {"disk_budget": 10.0},
        {"confirm": {**CONFIRM, "epoch_budget": 10_000}},
        {"controls": {"tuned": True, "methods": ["focal"]}},
    ],
)
def test_nothing_begins_early_where_a_budget_may_end_the_search_or_controls_are_tuned(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    assert begun_before_choice(searched(tmp_path / "fake", space_with(**changes))) == []


def test_nothing_begins_early_where_no_trial_has_completed(tmp_path: Path) -> None:
    tuner = FakeTuner(space_with(), tmp_path / "fake", rising, concurrent=20, test_score=close)
    for _ in tuner.results({}):
        table = trials(tmp_path / "fake")
        assert "completed" in set(table[table.phase == "search"].status) or "confirm" not in set(table.phase)


def test_images_of_early_runs_are_read_once_and_progress_counts_their_epochs(tmp_path: Path) -> None:
    space = space_with()
    tuner = FakeTuner(space, tmp_path / "fake", rising, concurrent=6, test_score=close)
    confirmation, plan = tuner.confirmations[EXP], tuner.plans[EXP]
    most, seen = most_confirm_epochs(space, plan), []
    for _ in tuner.results({}):
        if confirmation.rounds is None and confirmation.epochs_done:
            counted = scenario_progress(space, tuner.recorder, plan, confirmation, most)
            without = scenario_progress(space, tuner.recorder, plan)
            seen.append((confirmation.epochs_done, most - (counted.epochs_left - without.epochs_left)))
            assert counted.confirmed is not None
    assert len(seen) > 10
    assert all(done == fewer for done, fewer in seen)
    on_confirm_pairs = [config.seeds.data for config in tuner.read if config.seeds.data >= 3]
    assert sorted(on_confirm_pairs) == [3, 4, 5]
