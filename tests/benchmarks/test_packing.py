"""The table of `benchmarks.packing` from made-up passes, and real runs that train at once."""

from __future__ import annotations

import pytest

from benchmarks.packing import (
    COHORT,
    ONE,
    PROCESSES,
    Packed,
    packed_speeds,
    packing_lines,
    packing_verdict,
)
from tune_runs.preview.probe_processes import TimedPass

TWO = Packed(PROCESSES, 2)
TURNS = Packed(COHORT, 2)
FOUND = {
    ONE: [[TimedPass(0.0, 1.0, 100)]] * 3,
    TWO: [[TimedPass(0.0, 1.2, 100), TimedPass(0.05, 1.25, 130)]] * 3,
    TURNS: [[TimedPass(0.0, 1.0, 150)]] * 3,
}


def test_speed_counts_all_runs_from_the_first_start_to_the_last_end() -> None:
    rows = packed_speeds(FOUND, num_images=10)
    assert rows[ONE].of_one == (1.0, 1.0, 1.0)
    assert rows[TWO].images_per_s == pytest.approx((16.0, 16.0, 16.0))
    assert rows[TWO].of_one == pytest.approx((1.6, 1.6, 1.6))
    assert rows[TURNS].of_one == (2.0, 2.0, 2.0)
    assert (rows[TWO].peak_bytes, rows[TURNS].peak_bytes) == (230, 150)


def test_table_has_memory_only_on_a_gpu() -> None:
    rows = packed_speeds(FOUND, num_images=10)
    assert [line.split()[-1] for line in packing_lines(rows, "cpu")][1:] == ["-", "-", "-"]
    assert [line.split()[-1] for line in packing_lines(rows, "cuda")][1:] == ["MiB", "MiB", "MiB"]


def test_target_applies_to_the_best_way_and_number_of_runs_on_a_gpu() -> None:
    of_one = {packed: row.of_one for packed, row in packed_speeds(FOUND, num_images=10).items()}
    assert packing_verdict(of_one, "resnet32", "cpu").is_met is None
    assert packing_verdict(of_one, "resnet32", "cuda")[:2] == (
        False,
        "cuda, resnet32: together at least 4 times one at a time, "
        "got 2.000 (quartiles 2.000 to 2.000) with 2 runs, cohort",
    )
