"""The comparison of searches and the making of faults; `python -m benchmarks.faults` injects the faults themselves."""

from __future__ import annotations

import random
import traceback
from pathlib import Path

import pandas as pd
import pytest

from absgd import records
from benchmarks.faults.__main__ import KINDS, faults_parser
from benchmarks.faults.attacked_search import AttackedSearch, faults_space, search_differences
from benchmarks.faults.disk_faults import damaged_content
from benchmarks.faults.faulty_programs import OUT_OF_MEMORY, some_run_out_of_memory
from tests.support.fake_searches import some_diverge, space_of
from tests.support.fake_tuner import FakeTuner, make_space
from tune_runs.trial.failures import cause_of
from tune_runs.trial.trial_plan import TrialTask
from tune_runs.trunks.scenario_plan import plan_scenarios


def searched(folder: Path, **changes: object) -> AttackedSearch:
    """Run a search over made-up curves to its end."""
    folder.mkdir()
    search = AttackedSearch(space_of(**changes), folder)
    FakeTuner(space_of(**changes), search.run, some_diverge, concurrent=1).run()
    return search


def test_searches_that_differ_only_in_clocks_are_equal(tmp_path: Path) -> None:
    whole, other = searched(tmp_path / "whole"), searched(tmp_path / "other")
    assert search_differences(whole, other) == []
    table = pd.read_parquet(other.run / records.TRIALS_FILE)
    table["wall_s"] += 1
    table["restarts"] = 3
    table.to_parquet(other.run / records.TRIALS_FILE)
    assert search_differences(whole, other) == []
    assert other.restarts() == 3 * len(table)


def test_every_other_difference_is_found(tmp_path: Path) -> None:
    whole, other = searched(tmp_path / "whole"), searched(tmp_path / "other")
    trials, epochs = other.run / records.TRIALS_FILE, other.run / records.EPOCHS_FILE
    rows = pd.read_parquet(trials)
    rows.iloc[::-1].to_parquet(trials)
    assert search_differences(whole, other) == ["trials"]
    assert search_differences(whole, other, in_order=False) == []
    rows.assign(epochs_trained=rows.epochs_trained + 1).to_parquet(trials)
    assert search_differences(whole, other, in_order=False) == ["trials"]
    rows.to_parquet(trials)
    pd.read_parquet(epochs).iloc[1:].to_parquet(epochs)
    assert search_differences(whole, other) == ["epochs"]


def test_study_that_differs_or_runs_is_found(tmp_path: Path) -> None:
    whole, other = searched(tmp_path / "whole"), searched(tmp_path / "other")
    killed = tmp_path / "killed"
    killed.mkdir()
    search = AttackedSearch(space_of(), killed)
    FakeTuner(space_of(), search.run, some_diverge, concurrent=1).run(stop_after_results=14)
    (journal,) = other.run.glob("scenarios/*/study.journal")
    (cut,) = search.run.glob("scenarios/*/study.journal")
    journal.write_bytes(cut.read_bytes())
    assert search_differences(whole, other) == ["study", "a trial left RUNNING"]


@pytest.mark.parametrize("kind", ["truncated", "bit-flipped"])
def test_damaged_content_differs(kind: str) -> None:
    content, source = bytes(range(256)) * 4, random.Random(0)
    for _ in range(100):
        changed = damaged_content(content, kind, source)
        assert changed != content
        flipped = sum((a ^ b).bit_count() for a, b in zip(changed, content, strict=False))
        assert (len(changed) < len(content)) if kind == "truncated" else flipped == 1


def test_trial_requests_more_memory_than_the_machine_has() -> None:
    (control, *_) = (plan.control for plan in plan_scenarios(make_space()).values())
    task = TrialTask(f"x{OUT_OF_MEMORY[0]}", "digits", "digits/0", control)
    with pytest.raises(RuntimeError) as error:
        some_run_out_of_memory(task.to_ray_config(), None)
    text = "".join(traceback.format_exception(error.value))
    assert cause_of(text).words.startswith("out of memory")


def test_every_kind_can_be_selected_alone() -> None:
    assert faults_parser().parse_args(["--only", *KINDS]).only == list(KINDS)
    assert faults_parser().parse_args([]).only == KINDS


def test_faults_space_trains_one_run_at_a_time() -> None:
    from benchmarks.harness.command_line import CORES

    assert faults_space().resources.cpu == CORES
    assert faults_space(max_failures=7).max_failures == 7
