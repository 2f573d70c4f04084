"""Trials that fail from inside, and a clock that is set back."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from absgd import records
from benchmarks.faults.injected import OUT_OF_MEMORY
from benchmarks.faults.outcome import Outcome
from benchmarks.faults.search import Attacked, differences, faults_space

BUDGET_S = 15
"""Of a search that takes longer, start of Ray included."""
_PROGRAM = "from benchmarks.faults.injected import {0}; {0}({1})"


def out_of_memory(folder: Path) -> Outcome:
    """Two trials ask for more memory than there is: they fail with a hint, the others complete."""
    search = _attacked(folder / "memory", "run_with", "'some_run_out_of_memory'")
    status = search.finish()
    rows = pd.read_parquet(search.run / records.TRIALS_FILE)
    hit = rows[rows.trial_id.str.endswith(OUT_OF_MEMORY)]
    others = rows.drop(index=hit.index)
    good = hit[(hit.status == "failed") & hit.error.fillna("").str.contains("lower `batch_size`, or raise")]
    is_complete = status == 0 and set(others.status) <= {"completed", "pruned"} and len(rows) == 9
    return Outcome("trial out of memory", len(OUT_OF_MEMORY), len(good) if is_complete else 0, "failed, with a hint")


def always_failing(folder: Path) -> Outcome:
    """Every trial raises: the search ends after the fifth, and says why."""
    search = _attacked(folder / "failing", "run_with", "'always_fails'", num_trials=40)
    status = search.finish()
    failed = (pd.read_parquet(search.run / records.TRIALS_FILE).status == "failed").sum()
    is_told = "in a row failed before their first epoch with the same error" in search.printed
    survived = int(status == 1 and is_told and failed < 8 and "Traceback" not in search.printed)
    return Outcome("trainable that always fails", 1, survived, f"ends with status {status} after {failed} of 41 runs")


def clock_set_back(folder: Path, whole: Attacked) -> Outcome:
    """The time of day goes back by an hour, twice, while the search runs under a time budget that it cannot keep.

    The budget must end it all the same, no duration be negative, and a resume end as if nothing had been.
    """
    search = _attacked(folder / "clock", "run_with_clock_set_back", "6", time_budget=BUDGET_S)
    is_ended = search.finish() == 0 and "the time budget was used up" in search.printed
    is_done = search.finish("--time-budget", "1h") == 0 and not differences(whole, search)
    clocks = pd.read_parquet(search.run / records.EPOCHS_FILE)[["train_s", "val_s", "images_per_s"]]
    are_durations = (clocks >= 0).all(axis=None) and (
        pd.read_parquet(search.run / records.TRIALS_FILE).wall_s >= 0
    ).all()
    survived = 2 if is_ended and is_done and are_durations else 0
    return Outcome("clock set back by an hour", 2, survived, f"in a search with a budget of {BUDGET_S} s, resumed")


def _attacked(folder: Path, program: str, argument: str, **changes: object) -> Attacked:
    return Attacked(faults_space(**changes), folder, _PROGRAM.format(program, argument))
