"""Packings trained in real processes."""

from __future__ import annotations

from benchmarks.harness.workloads import EpochWorkload
from benchmarks.packing import (
    COHORT,
    ONE,
    PROCESSES,
    Packed,
    both_ways,
    time_packed,
)

TWO = Packed(PROCESSES, 2)


TURNS = Packed(COHORT, 2)


def test_processes_train_at_the_same_time_and_a_cohort_in_one() -> None:
    work = EpochWorkload("resnet8", num_batches=4, batch=64, device="cpu", exact=True)
    with both_ways(work, most=2, threads=2) as ways:
        found = time_packed(ways, [ONE, TWO, TURNS], rounds=2)
    assert {packed: [len(passes) for passes in rounds] for packed, rounds in found.items()} == {
        ONE: [1, 1],
        TWO: [2, 2],
        TURNS: [1, 1],
    }
    for one, other in found[TWO]:
        assert max(one.started, other.started) < min(one.ended, other.ended), "they overlap"
