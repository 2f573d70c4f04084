"""Packings tried on each kind of machine, and the one that is proposed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_runs.preview.packings import (
    ENOUGH_SHARE,
    MAX_PROCESSES,
    TRIAL_COUNTS,
    Packing,
    PackingResult,
    Speedup,
    is_impossible,
    own_packing,
    packings_to_try,
    proposed_packing,
)
from tune_runs.space.resources import ResourcesConfig

MANY = 1000


def words(packings: tuple[Packing, ...]) -> list[str]:
    return [f"{packing.trials}: {packing.words}" for packing in packings]


def test_packings_on_a_gpu_keep_the_cpus_of_the_space_while_they_fit() -> None:
    alone, shared = packings_to_try(None, cpu=3, num_cpus=16, num_gpus=1, most=MANY)
    assert words(alone) == [
        "1: {cpu: 3, gpu: 1}",
        "2: {cpu: 3, gpu: 0.5}",
        "4: {cpu: 3, gpu: 0.25}",
        "8: {cpu: 2, gpu: 0.125}",
    ]
    assert words(shared) == [
        "1: {cpu: 3, gpu: 1}",
        "2: {cpu: 3, gpu: 1, cohort: 2}",
        "4: {cpu: 3, gpu: 1, cohort: 4}",
        "8: {cpu: 3, gpu: 1, cohort: 8}",
    ]


def test_packings_on_one_of_several_gpus_have_its_part_of_the_cpus() -> None:
    alone, shared = packings_to_try(None, cpu=1, num_cpus=10, num_gpus=4, most=MANY)
    assert words(alone) == ["1: {cpu: 1, gpu: 1}", "2: {cpu: 1, gpu: 0.5}"]
    assert [packing.trials for packing in shared] == [1, 2, 4, 8]
    more_gpus_than_cpus, _ = packings_to_try(None, cpu=1, num_cpus=2, num_gpus=4, most=MANY)
    assert words(more_gpus_than_cpus) == ["1: {cpu: 1, gpu: 1}"]


@pytest.mark.parametrize(
    ("num_cpus", "expected"),
    [
        (1, ["1: {cpu: 1, gpu: 0}"]),
        (2, ["1: {cpu: 2, gpu: 0}", "2: {cpu: 1, gpu: 0}"]),
        (12, ["1: {cpu: 12, gpu: 0}", "2: {cpu: 6, gpu: 0}", "4: {cpu: 3, gpu: 0}", "12: {cpu: 1, gpu: 0}"]),
    ],
)
def test_packings_on_cpus_halve_the_threads(num_cpus: int, expected: list[str]) -> None:
    assert words(packings_to_try(None, cpu=1, num_cpus=num_cpus, num_gpus=0, most=MANY)[0]) == expected


def test_cohorts_on_cpus_are_as_large_as_the_cpus_at_most() -> None:
    _, shared = packings_to_try(None, cpu=1, num_cpus=4, num_gpus=0, most=MANY)
    assert words(shared) == ["1: {cpu: 4, gpu: 0}", "2: {cpu: 4, gpu: 0, cohort: 2}", "4: {cpu: 4, gpu: 0, cohort: 4}"]


def test_packing_of_the_space_is_tried_once() -> None:
    third = own_packing(ResourcesConfig(cpu=1, gpu=0.3), num_cpus=16, num_gpus=1)
    assert third == Packing(3, 1, 0.3)
    assert [packing.trials for packing in packings_to_try(third, 1, 16, 1, MANY)[0]] == [1, 2, 3, 4, 8]
    quarter = own_packing(ResourcesConfig(), num_cpus=16, num_gpus=1)
    assert [packing.trials for packing in packings_to_try(quarter, 1, 16, 1, MANY)[0]] == [1, 2, 4, 8]
    half = own_packing(ResourcesConfig(cpu=0.5, gpu=0), num_cpus=2, num_gpus=0)
    assert half == Packing(4, 0.5, 0)
    assert half.threads == 1
    cohort = Packing(2, 1, 0.5, cohort=3)
    assert cohort in packings_to_try(cohort, 1, 16, 1, MANY)[1]
    assert cohort not in packings_to_try(cohort, 1, 16, 1, MANY)[0]


def test_own_packing_is_for_one_gpu_and_none_where_none_fits() -> None:
    assert own_packing(ResourcesConfig(cpu=2, gpu=0.25), num_cpus=8, num_gpus=2) == Packing(2, 2, 0.25)
    assert own_packing(ResourcesConfig(cpu=8, gpu=0), num_cpus=2, num_gpus=0) is None


@given(
    cpu=st.sampled_from([0.25, 1, 2, 5, 64]),
    gpu=st.sampled_from([None, 0, 0.001, 0.3, 1, 2]),
    num_cpus=st.integers(1, 256),
    num_gpus=st.integers(0, 8),
    most=st.integers(1, 100),
)
def test_ways_fit_on_the_machine(cpu: float, gpu: float | None, num_cpus: int, num_gpus: int, most: int) -> None:
    resources = ResourcesConfig(cpu=cpu, gpu=gpu)
    gpus = num_gpus if resources.on(num_gpus).gpu else 0
    own = own_packing(resources, num_cpus, gpus) if gpus or not gpu else None
    for packings in packings_to_try(own, cpu, num_cpus, gpus, most):
        assert packings[0].trials == 1
        assert [packing.trials for packing in packings] == sorted(packing.trials for packing in packings)
        assert len(set(packings)) == len(packings)
        for packing in packings:
            assert packing.trials <= max(1, most)
            assert packing.processes <= MAX_PROCESSES
            assert packing.processes == 1 or packing.processes * packing.cpu <= num_cpus
            if packing != own:
                assert packing.trials in TRIAL_COUNTS if gpus else packing.processes * packing.threads <= num_cpus


def row(trials: int, of_one: float, cohort: bool = False, failure: str = "") -> PackingResult:
    packing = Packing(1, 1, 1, cohort=trials) if cohort else Packing(trials, 1, 1 / trials)
    return PackingResult(packing, 100 * of_one, Speedup(of_one, of_one, of_one), failure=failure)


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ([row(1, 1), row(2, 1.9), row(4, 3.6), row(8, 3.7)], 2),
        ([row(1, 1), row(2, 1.9), row(4, 3.6), row(8, 3.9)], 3),
        ([row(1, 1), row(2, 1.04)], 0),
        ([row(1, 1), row(2, 0.7), row(4, 0.9)], 0),
        ([row(1, 1), row(2, 1.5), row(2, 1.6, cohort=True), row(4, 1.55)], 2),
        ([row(1, 1), row(4, 2), row(2, 1.95, cohort=True)], 2),
        ([row(1, 1), row(2, 1.5, cohort=True), row(2, 1.5)], 2),
        ([row(1, 1), row(2, 9, failure="out of GPU memory")], 0),
    ],
)
def test_proposed_are_the_fewest_trials_near_the_most(rows: list[PackingResult], place: int) -> None:
    assert proposed_packing(rows) is rows[place]


def test_no_proposal_without_a_measurement() -> None:
    assert proposed_packing([]) is None
    assert proposed_packing([row(1, 1, failure="its process ended by SIGKILL")]) is None


RATIOS = st.lists(st.tuples(st.integers(1, 8), st.floats(0.1, 10), st.booleans(), st.booleans()), min_size=1)


@given(RATIOS)
def test_proposal_is_near_the_most_and_no_fewer_trials_are(given_rows: list[tuple[int, float, bool, bool]]) -> None:
    rows = [row(trials, ratio, cohort, "lost" if is_lost else "") for trials, ratio, cohort, is_lost in given_rows]
    measured = [one for one in rows if not one.failure]
    best = proposed_packing(rows)
    assert (best is None) == (not measured or any(map(is_impossible, measured)))
    if best is None:
        return
    most = max(one.speedup.median for one in measured)
    assert best.speedup.median >= ENOUGH_SHARE * most
    for one in measured:
        if one.packing.trials < best.packing.trials:
            assert one.speedup.median < ENOUGH_SHARE * most
        if one.packing.trials == best.packing.trials:
            assert one.speedup.median <= best.speedup.median
