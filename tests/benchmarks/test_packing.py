"""The table of `benchmarks.packing` from made-up clocks, and two real processes that train at once."""

from __future__ import annotations

from functools import partial

import pytest

from benchmarks.packing import Work, measure, packed_run, summary, verdict
from tune_runs.side_by_side import Pass, Processes, images_per_s

ALONE = [[Pass(0.0, 1.0, 100)]] * 3
TWO = [[Pass(0.0, 1.2, 100), Pass(0.05, 1.25, 130)]] * 3


def test_ratio_is_of_what_all_trained_from_the_first_start_to_the_last_end() -> None:
    assert images_per_s(TWO[0], num_images=10) == 16.0
    rows = summary({1: ALONE, 2: TWO}, num_images=10)
    assert rows[1].of_one == (1.0, 1.0, 1.0)
    assert rows[2].of_one == pytest.approx((1.6, 1.6, 1.6))
    assert rows[2].peak_bytes == 130


def test_target_is_of_the_best_number_of_runs_on_a_gpu_alone() -> None:
    rows = summary({1: ALONE, 2: TWO}, num_images=10)
    assert verdict(rows, "resnet32", "cpu")[0] is None
    assert verdict(rows, "resnet32", "cuda") == (
        False,
        "cuda, resnet32: together at least 4 times one at a time, got 1.600 (quartiles 1.600 to 1.600) with 2 runs",
    )


def test_processes_train_at_the_same_time_and_end_with_the_block() -> None:
    work = Work("resnet8", num_batches=4, batch=64, device="cpu", exact=True)
    with Processes(partial(packed_run, work)) as ours:
        found = measure(ours, [1, 2], rounds=2)
    assert {count: [len(epochs) for epochs in rounds] for count, rounds in found.items()} == {1: [1, 1], 2: [2, 2]}
    for one, other in found[2]:
        assert max(one.started, other.started) < min(one.ended, other.ended), "they overlap"
    assert ours.count == 0
