"""Plans compared over random choices of configurations and all orders of seeds."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from benchmarks.complete_curves.pair_replays import PairCells, SeedPlan, first_pair, replay_plan


def replay_plans(cells: PairCells, plans: Sequence[SeedPlan], num_trials: int, draws: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each plan: means over random choices of configurations and all orders of seeds.

    The gain held out is that of the chosen configuration on the seeds that the plan does not use; a run that diverged
    there counts with its last epoch.

    Args:
        cells: curves of the scenario, more seeds than any plan has pairs.
        plans: to compare, on the same choices.
        num_trials: configurations of a search.
        draws: choices for each seed that stands for pair 0.
    """
    one = next(iter(cells.values())).cell
    source = random.Random(f"{one.scenario} {num_trials}")
    numbers = sorted(curve.number for curve in one.curves)
    orders = [(seed, source.sample(numbers, num_trials)) for _ in range(draws) for seed in cells]
    for plan in plans:
        found = [_mean_outcome(cells, order, seed, plan) for seed, order in orders]
        gains = [outcome.gain for outcome in found]
        yield {
            "scenario": one.scenario,
            "num_trials": num_trials,
            "plan": plan.name,
            "gain": statistics.fmean(gains),
            "gain_error": statistics.stdev(gains) / math.sqrt(len(gains)),
            "epochs": statistics.fmean(outcome.epochs for outcome in found),
            "pairs_used": statistics.fmean(outcome.pairs_used for outcome in found),
        }


class _Outcome(NamedTuple):
    gain: float
    epochs: float
    pairs_used: float


def _mean_outcome(cells: PairCells, order: Sequence[int], seed: int, plan: SeedPlan) -> _Outcome:
    """Return the mean over all orders of the other seeds."""
    first = first_pair(cells, order, seed, plan) if plan.first_pairs == 1 else None
    others = [other for other in cells if other != seed]
    found = []
    for further in itertools.permutations(others, plan.pairs - 1):
        choice = replay_plan(cells, order, (seed, *further), plan, first)
        held_out = [cells[other].gains_at_end[choice.chosen] for other in others if other not in further]
        found.append(_Outcome(statistics.fmean(held_out), choice.epochs, choice.pairs_used))
    return _Outcome(*map(statistics.fmean, zip(*found, strict=True)))
