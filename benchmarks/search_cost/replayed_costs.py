"""Epochs and regret of a search counted by replay, for numbers of trials that would take too long to train every time.

    python -m benchmarks.search_cost --cases --forks 0 [--count 8 32 128] [--seeds 3] [--orders 30] [--curves FOLDER]

Complete curves of as many configurations as the largest search has are trained once for each seed, which data and
training share, forked from one stage one; FOLDER keeps them, so that an interrupted run resumes. Then searches over
random subsets of the configurations in random order are replayed: ours under `tune_runs.stopping.stopping_rules`, the
code that decides in a search, with the default rule, two trials at a time; a plain one under Ray's own ASHA, once
for each peer of `benchmarks.complete_curves.plain_asha`.

- its epochs: epochs of every trial from scratch;
- ours: epochs of the plain control, and of every trial from its switch on;
- fewer: the former over the latter; mean and spread over all orders and seeds;
- regret: the best value at the last epoch without stopping minus that of the trial kept, in points; mean and spread
  over all orders and seeds, the mean of each seed, and the peer's mean.
"""

from __future__ import annotations

import dataclasses
import random
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.complete_curves.curve_tables import SeedCurves, TrialCurve, read_seed_curves
from benchmarks.complete_curves.curve_training import CurveTable, train_missing
from benchmarks.complete_curves.plain_asha import ASHA_CLOCKS, AshaClock
from benchmarks.complete_curves.search_replay import ReplayedSearch, kept_trial, replay_ours, replay_plain
from benchmarks.harness.locations import RESULTS
from benchmarks.search_cost.search_cases import SWITCHES, search_cost_space
from tune_runs.stopping.rungs import early_stopping

SEARCH_COST_CURVES = RESULTS / "search_cost"
SIZES = (8, 32, 128)
AT_ONCE = 2


@dataclasses.dataclass(frozen=True)
class ReplayedOrder:
    """A search of some configurations in some order; regrets in points."""

    seed: int
    epochs: int
    regret: float
    peers: tuple[tuple[int, float], ...]
    """Epochs and regret under each clock."""


@dataclasses.dataclass(frozen=True)
class ReplayedPeer:
    """A plain search of the same configurations in the same order: means over orders and seeds."""

    clock: AshaClock | None
    """Clock of the plain search; None: no stopping."""
    epochs: float
    fewer: float
    """Epochs of the plain search divided by ours."""
    fewer_std: float
    regret: float
    """Regret in points."""


@dataclasses.dataclass(frozen=True)
class ReplayedCost:
    """Epochs and regret of searches of one kind: means over orders and seeds, and their spread over all of them."""

    switch: str
    num_trials: int
    is_stopping: bool
    searches: int
    epochs: float
    regret: float
    """Regret in points."""
    regret_std: float
    regret_by_seed: tuple[float, ...]
    peers: tuple[ReplayedPeer, ...]


def replay_kind(cells: Sequence[SeedCurves], num_trials: int, orders: int, is_stopping: bool) -> ReplayedCost:
    """Replay searches of `num_trials` configurations on each seed of one space, in `orders` random orders each."""
    clocks: tuple[AshaClock | None, ...] = ASHA_CLOCKS if is_stopping else (None,)
    found = [one for cell in cells for one in _replays(cell, num_trials, orders, clocks)]
    by_seed = {seed: [one.regret for one in found if one.seed == seed] for seed in dict.fromkeys(o.seed for o in found)}
    return ReplayedCost(
        switch=cells[0].space.name,
        num_trials=num_trials,
        is_stopping=is_stopping,
        searches=len(found),
        epochs=statistics.fmean(one.epochs for one in found),
        regret=statistics.fmean(one.regret for one in found),
        regret_std=statistics.stdev(one.regret for one in found),
        regret_by_seed=tuple(map(statistics.fmean, by_seed.values())),
        peers=tuple(_peer(found, place, clock) for place, clock in enumerate(clocks)),
    )


def _peer(found: Sequence[ReplayedOrder], place: int, clock: AshaClock | None) -> ReplayedPeer:
    ratios = [one.peers[place][0] / one.epochs for one in found]
    return ReplayedPeer(
        clock=clock,
        epochs=statistics.fmean(one.peers[place][0] for one in found),
        fewer=statistics.fmean(ratios),
        fewer_std=statistics.stdev(ratios),
        regret=statistics.fmean(one.peers[place][1] for one in found),
    )


def _replays(
    cell: SeedCurves, num_trials: int, orders: int, clocks: Sequence[AshaClock | None]
) -> Iterator[ReplayedOrder]:
    source = random.Random(f"{cell.space.name} {cell.seed} {num_trials}")
    for _ in range(orders):
        yield replay_order(cell, source.sample(cell.curves, num_trials), clocks)


def replay_order(cell: SeedCurves, order: Sequence[TrialCurve], clocks: Sequence[AshaClock | None]) -> ReplayedOrder:
    """Replay one search and the plain ones; a clock that is None stands for no stopping, on both sides."""
    space = cell.space.model_copy(update={} if any(clocks) else {"early_stopping": None})
    best = kept_trial(cell, [curve for curve in order if cell.is_complete(curve)])

    def regret(search: ReplayedSearch) -> float:
        return 100 * cell.sign * (best.end() - kept_trial(cell, search.completed).end())

    ours = replay_ours(cell, order, AT_ONCE, early_stopping(space))
    # Rungs are so late that trials from scratch reach them in the order of one trial after another.
    plain = [replay_plain(cell, order, 1, clock) for clock in clocks]
    return ReplayedOrder(cell.seed, ours.epochs, regret(ours), tuple((one.epochs, regret(one)) for one in plain))


def replay_all_kinds(sizes: Sequence[int], seeds: int, orders: int, folder: Path, jobs: int) -> list[ReplayedCost]:
    """Train the missing curves, then replay every kind of search.

    Args:
        sizes: numbers of trials.
        seeds: number of seeds of the curves.
        orders: random subsets and orders of configurations for each seed.
        folder: keeps the curves.
        jobs: processes that train them.
    """
    spaces = {switch: search_cost_space(switch, max(sizes), is_stopping=True) for switch in SWITCHES}
    tables = [
        CurveTable(folder / f"{switch}-{max(sizes)}-{seed}.parquet", space, space.scenario_list[0], seed)
        for seed in range(seeds)
        for switch, space in spaces.items()
    ]
    train_missing(tables, jobs)
    return [
        replay_kind([_read(table) for table in tables if table.space is space], size, orders, is_stopping)
        for is_stopping in (False, True)
        for size in sizes
        for space in spaces.values()
    ]


def _read(table: CurveTable) -> SeedCurves:
    return read_seed_curves(table.space, table.scenario.name, table.seed, pd.read_parquet(table.path))
