"""Ways to find a configuration, replayed over complete curves: its gain, and the epochs until it is known."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from absgd.comparisons import PriorVariance, search_spread
from benchmarks.complete_curves.pair_replays import (
    DEFAULT_PLAN,
    TOP_THREE,
    PairCells,
    PairCurves,
    ReplayedChoice,
    replay_plan,
)
from benchmarks.complete_curves.search_replay import kept_trial, replay_plain

Way = Literal["script", "before", "now"]
WAYS: tuple[Way, ...] = get_args(Way)
NUM_TRIALS = 32


class Choice(NamedTuple):
    """A replayed search: its winner, the winner's held-out gain, and the epochs until it is known."""

    number: int
    gain: float
    epochs: int
    prior: PriorVariance | None = None


def searches(way: Way, cells: PairCells, draws: int) -> Iterator[Choice]:
    """Yield replayed searches: `draws` for each seed on which a search begins, the same for each way."""
    numbers = sorted(next(iter(cells.values())).by_number)
    source = random.Random(f"{next(iter(cells.values())).cell.scenario}")
    for _ in range(draws):
        for seed in cells:
            order = source.sample(numbers, NUM_TRIALS)
            further = source.sample([other for other in cells if other != seed], DEFAULT_PLAN.pairs - 1)
            yield _search(way, cells, order, (seed, *further))


def _search(way: Way, cells: PairCells, order: Sequence[int], seeds: Sequence[int]) -> Choice:
    if way == "script":
        first = cells[seeds[0]]
        plain = replay_plain(first.cell, first.curves(order), 1, "since_switch")
        number, epochs, used, prior = kept_trial(first.cell, plain.completed).number, plain.epochs, seeds[:1], None
    else:
        found = replay_plan(cells, order, seeds, TOP_THREE if way == "before" else DEFAULT_PLAN)
        number, epochs, used, prior = found.chosen, found.epochs, seeds, _prior(found)
        if way == "before":
            number = _best_on_fresh(found)
            epochs += sum(_epochs_on_fresh(cells[seed], number) for seed in seeds[found.pairs_used :])
    held_out = [cells[seed].gains_at_end[number] for seed in cells if seed not in used]
    return Choice(number, statistics.fmean(held_out), epochs, prior)


def _best_on_fresh(found: ReplayedChoice) -> int:
    """Return the best by the mean over the fresh seeds alone, as the version before chose among three."""
    if found.pairs_used == 1:
        return found.chosen
    fresh = {number: own[1:] for number, own in found.gains.items() if len(own) == found.pairs_used}
    complete = {number: own for number, own in fresh.items() if not np.isnan(own).any()} or fresh
    return max(complete, key=lambda number: statistics.fmean(complete[number]))


def _epochs_on_fresh(pair: PairCurves, number: int) -> int:
    """Return the epochs of plain control and fork on a fresh seed, on which one trial alone is confirmed."""
    return pair.cell.space.epochs + len(pair.by_number[number].by_epoch)


def _prior(found: ReplayedChoice) -> PriorVariance | None:
    gains = {
        str(number): {pair: gain for pair, gain in enumerate(own) if gain == gain}
        for number, own in found.gains.items()
    }
    return search_spread(gains, str(found.chosen))


def spread(cells: PairCells, choices: Sequence[Choice]) -> float:
    """Return the standard deviation over seeds of the gains of the configurations chosen, pooled."""
    gains = [[pair.gains_at_end[one.number] for pair in cells.values()] for one in choices]
    return math.sqrt(statistics.fmean(statistics.variance(own) for own in gains))
