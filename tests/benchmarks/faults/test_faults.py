"""What counts as survived, and how faults are made; the faults themselves run by `python -m benchmarks.faults`."""

from __future__ import annotations

import random
import traceback
from pathlib import Path

import pandas as pd
import pytest

from absgd import records
from benchmarks.faults.__main__ import KINDS, options_parser
from benchmarks.faults.disk import _spoilt
from benchmarks.faults.injected import OUT_OF_MEMORY, some_run_out_of_memory
from benchmarks.faults.search import Attacked, differences, faults_space
from tests.support.fake_searches import some_diverge, space_of
from tests.support.fake_tuner import FakeTuner
from tune_runs.trial.failures import cause_of


def searched(folder: Path, **changes: object) -> Attacked:
    """A finished search on curves."""
    folder.mkdir()
    search = Attacked(space_of(**changes), folder)
    FakeTuner(space_of(**changes), search.run, some_diverge, concurrent=1).run()
    return search


def test_searches_that_differ_in_clocks_alone_are_the_same(tmp_path: Path) -> None:
    whole, other = searched(tmp_path / "whole"), searched(tmp_path / "other")
    assert differences(whole, other) == []
    table = pd.read_parquet(other.run / records.TRIALS_FILE)
    table["wall_s"] += 1
    table["restarts"] = 3
    table.to_parquet(other.run / records.TRIALS_FILE)
    assert differences(whole, other) == []
    assert other.restarts() == 3 * len(table)


def test_every_other_difference_is_found(tmp_path: Path) -> None:
    whole, other = searched(tmp_path / "whole"), searched(tmp_path / "other")
    trials, epochs = other.run / records.TRIALS_FILE, other.run / records.EPOCHS_FILE
    rows = pd.read_parquet(trials)
    rows.iloc[::-1].to_parquet(trials)
    assert differences(whole, other) == ["trials"]
    assert differences(whole, other, in_order=False) == []
    rows.assign(epochs_trained=rows.epochs_trained + 1).to_parquet(trials)
    assert differences(whole, other, in_order=False) == ["trials"]
    rows.to_parquet(trials)
    pd.read_parquet(epochs).iloc[1:].to_parquet(epochs)
    assert differences(whole, other) == ["epochs"]


def test_study_that_differs_or_runs_is_found(tmp_path: Path) -> None:
    whole, other = searched(tmp_path / "whole"), searched(tmp_path / "other")
    killed = tmp_path / "killed"
    killed.mkdir()
    search = Attacked(space_of(), killed)
    FakeTuner(space_of(), search.run, some_diverge, concurrent=1).run(stop_after_results=14)
    (journal,) = other.run.glob("scenarios/*/study.journal")
    (cut,) = search.run.glob("scenarios/*/study.journal")
    journal.write_bytes(cut.read_bytes())
    assert differences(whole, other) == ["study", "a trial left RUNNING"]


@pytest.mark.parametrize("kind", ["truncated", "bit-flipped"])
def test_spoilt_content_differs(kind: str) -> None:
    content, source = bytes(range(256)) * 4, random.Random(0)
    for _ in range(100):
        spoilt = _spoilt(content, kind, source)
        assert spoilt != content
        flipped = sum((a ^ b).bit_count() for a, b in zip(spoilt, content, strict=False))
        assert (len(spoilt) < len(content)) if kind == "truncated" else flipped == 1


def test_trial_asks_for_more_memory_than_there_is() -> None:
    with pytest.raises(RuntimeError) as error:
        some_run_out_of_memory({"trial_id": f"x{OUT_OF_MEMORY[0]}"}, None)
    text = "".join(traceback.format_exception(error.value))
    assert cause_of(text).words.startswith("out of memory")


def test_every_kind_can_be_asked_for_alone() -> None:
    assert options_parser().parse_args(["--only", *KINDS]).only == list(KINDS)
    assert options_parser().parse_args([]).only == KINDS


def test_faults_space_trains_one_run_at_a_time() -> None:
    from benchmarks.command_line import CORES

    assert faults_space().resources.cpu == CORES
    assert faults_space(max_failures=7).max_failures == 7
