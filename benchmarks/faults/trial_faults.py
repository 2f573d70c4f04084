"""Trials that fail by themselves, and a clock that is set back."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from absgd import records
from benchmarks.faults.attacked_search import AttackedSearch, faults_space, search_differences
from benchmarks.faults.fault_outcome import FaultOutcome
from benchmarks.faults.faulty_programs import OUT_OF_MEMORY

BUDGET_S = 15
"""Time budget of a search that takes longer, including the start of Ray."""
_PROGRAM = "from benchmarks.faults.faulty_programs import {0}; {0}({1})"


def out_of_memory(folder: Path) -> FaultOutcome:
    """Let two trials allocate more memory than there is: they fail with a hint, the others complete."""
    search = _attacked(folder / "memory", "run_with", "'some_run_out_of_memory'")
    status = search.finish()
    rows = pd.read_parquet(search.run / records.TRIALS_FILE)
    hit = rows[rows.trial_id.str.endswith(OUT_OF_MEMORY)]
    others = rows.drop(index=hit.index)
    good = hit[(hit.status == "failed") & hit.error.fillna("").str.contains("lower `batch_size`, or raise")]
    is_complete = status == 0 and set(others.status) <= {"completed", "pruned"} and len(rows) == 9
    return FaultOutcome(
        "trial out of memory", len(OUT_OF_MEMORY), len(good) if is_complete else 0, "failed, with a hint"
    )


def always_failing(folder: Path) -> FaultOutcome:
    """Let every trial raise: the search ends after the fifth, and says why."""
    search = _attacked(folder / "failing", "run_with", "'always_fails'", num_trials=40)
    status = search.finish()
    failed = (pd.read_parquet(search.run / records.TRIALS_FILE).status == "failed").sum()
    is_reported = "in a row failed before their first epoch with the same error" in search.printed
    survived = int(status == 1 and is_reported and failed < 8 and "Traceback" not in search.printed)
    return FaultOutcome(
        "trainable that always fails", 1, survived, f"ends with status {status} after {failed} of 41 runs"
    )


def clock_set_back(folder: Path, whole: AttackedSearch) -> FaultOutcome:
    """Set the time of day back by an hour, twice, while the search runs under a time budget that it cannot keep.

    The budget must end the search all the same, no duration may be negative, and a resumed search must end as if
    undisturbed.
    """
    search = _attacked(folder / "clock", "run_with_clock_set_back", "6", time_budget=BUDGET_S)
    is_ended = search.finish() == 0 and "the time budget was used up" in search.printed
    is_done = search.finish("--time-budget", "1h") == 0 and not search_differences(whole, search)
    clocks = pd.read_parquet(search.run / records.EPOCHS_FILE)[["train_s", "val_s", "images_per_s"]]
    are_durations = (clocks >= 0).all(axis=None) and (
        pd.read_parquet(search.run / records.TRIALS_FILE).wall_s >= 0
    ).all()
    survived = 2 if is_ended and is_done and are_durations else 0
    return FaultOutcome("clock set back by an hour", 2, survived, f"in a search with a budget of {BUDGET_S} s, resumed")


def _attacked(folder: Path, program: str, argument: str, **changes: object) -> AttackedSearch:
    return AttackedSearch(faults_space(**changes), folder, _PROGRAM.format(program, argument))
