"""Epochs and regret of a search counted by replay, for numbers of trials that would take too long to train every time.

    python -m benchmarks.search_cost --cases --forks 0 [--count 8 32 128] [--seeds 3] [--orders 30] [--curves FOLDER]

Complete curves of as many configurations as the largest search has are trained once for each seed, data and training
alike, forked from one stage one; FOLDER keeps them, so that an interrupted run goes on. Then searches of some of the
configurations in random order are replayed: ours under `tune_runs.stopping.rules`, the code that decides in a search,
with the default rule, two trials at a time; a plain one under Ray's own ASHA, once for each peer of `benchmarks.peers`.

- its epochs: of every trial from scratch;
- ours: of the plain control once, and of every trial from its switch on;
- fewer: how many times fewer; mean and spread over all orders and seeds;
- regret: the best value at the last epoch without stopping minus that of the trial kept, in points; mean and spread
  over all orders and seeds, and the mean of each seed; and the peer's.
"""

from __future__ import annotations

import dataclasses
import random
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.curves import RESULTS, Cell, Curve, read_cell
from benchmarks.peers import CLOCKS, Clock
from benchmarks.replay import Search, kept, our_search, plain_search
from benchmarks.search_cost.cases import SWITCHES, space_of
from benchmarks.train_curves import Table, train_missing
from tune_runs.stopping.rungs import early_stopping

CURVES = RESULTS / "search_cost"
SIZES = (8, 32, 128)
AT_ONCE = 2


@dataclasses.dataclass(frozen=True)
class Replayed:
    """A search of some configurations in some order; regrets in points."""

    seed: int
    epochs: int
    regret: float
    peers: tuple[tuple[int, float], ...]
    """Epochs and regret under each clock."""


@dataclasses.dataclass(frozen=True)
class Peer:
    """A plain search of the same configurations in the same order: means over orders and seeds."""

    clock: Clock | None
    """None: without stopping."""
    epochs: float
    fewer: float
    """Its epochs over ours."""
    fewer_std: float
    regret: float
    """Points."""


@dataclasses.dataclass(frozen=True)
class Counted:
    """What searches of one kind came to: means over orders and seeds, and their spread over all of them."""

    switch: str
    num_trials: int
    is_stopping: bool
    searches: int
    epochs: float
    regret: float
    """Points."""
    regret_std: float
    regret_by_seed: tuple[float, ...]
    peers: tuple[Peer, ...]


def count(cells: Sequence[Cell], num_trials: int, orders: int, is_stopping: bool) -> Counted:
    """Searches of `num_trials` configurations on each seed of one space, in `orders` random choices and orders each."""
    clocks: tuple[Clock | None, ...] = CLOCKS if is_stopping else (None,)
    found = [one for cell in cells for one in _replays(cell, num_trials, orders, clocks)]
    by_seed = {seed: [one.regret for one in found if one.seed == seed] for seed in dict.fromkeys(o.seed for o in found)}
    return Counted(
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


def _peer(found: Sequence[Replayed], place: int, clock: Clock | None) -> Peer:
    ratios = [one.peers[place][0] / one.epochs for one in found]
    return Peer(
        clock=clock,
        epochs=statistics.fmean(one.peers[place][0] for one in found),
        fewer=statistics.fmean(ratios),
        fewer_std=statistics.stdev(ratios),
        regret=statistics.fmean(one.peers[place][1] for one in found),
    )


def _replays(cell: Cell, num_trials: int, orders: int, clocks: Sequence[Clock | None]) -> Iterator[Replayed]:
    source = random.Random(f"{cell.space.name} {cell.seed} {num_trials}")
    for _ in range(orders):
        yield replayed(cell, source.sample(cell.curves, num_trials), clocks)


def replayed(cell: Cell, order: Sequence[Curve], clocks: Sequence[Clock | None]) -> Replayed:
    """One search, and the plain ones; a clock that is None stands for no stopping, on both sides."""
    space = cell.space.model_copy(update={} if any(clocks) else {"early_stopping": None})
    best = kept(cell, [curve for curve in order if cell.is_complete(curve)])

    def regret(search: Search) -> float:
        return 100 * cell.sign * (best.end() - kept(cell, search.completed).end())

    ours = our_search(cell, order, AT_ONCE, early_stopping(space))
    # The order in which trials from scratch come to rungs that late is that of one trial after another.
    plain = [plain_search(cell, order, 1, clock) for clock in clocks]
    return Replayed(cell.seed, ours.epochs, regret(ours), tuple((one.epochs, regret(one)) for one in plain))


def counted(sizes: Sequence[int], seeds: int, orders: int, folder: Path, jobs: int) -> list[Counted]:
    """Train what is missing, then replay.

    Args:
        sizes: numbers of trials.
        seeds: of the curves.
        orders: random choices and orders of configurations for each seed.
        folder: keeps the curves.
        jobs: processes that train them.
    """
    spaces = {switch: space_of(switch, max(sizes), is_stopping=True) for switch in SWITCHES}
    tables = [
        Table(folder / f"{switch}-{max(sizes)}-{seed}.parquet", space, space.scenario_list[0], seed)
        for seed in range(seeds)
        for switch, space in spaces.items()
    ]
    train_missing(tables, jobs)
    return [
        count([_read(table) for table in tables if table.space is space], size, orders, is_stopping)
        for is_stopping in (False, True)
        for size in sizes
        for space in spaces.values()
    ]


def _read(table: Table) -> Cell:
    return read_cell(table.space, table.scenario.name, table.seed, pd.read_parquet(table.path))
