"""The cost of a search over further seed pairs, before it is known which trials go on.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tune_runs.preview.scenario_cost import EpochTime
from tune_runs.seed_pairs.seed_halving import planned_sizes
from tune_runs.space.model import SearchSpace
from tune_runs.trunks.scenario_plan import ScenarioPlan


class PairsCost(NamedTuple):
    """The most that one scenario trains on further seed pairs."""

    sizes: tuple[int, ...]
    """Most trials on each further pair, from pair 1 on; none where there is nothing to choose from."""
    epochs: int
    """Epochs trained, without inherited ones."""
    epochs_plain: int
    """Epochs among `epochs` that train the base criterion alone."""

    @property
    def num_runs(self) -> int:
        """Most runs: trials, and a control on each pair."""
        return sum(self.sizes) + len(self.sizes)


def pairs_cost(space: SearchSpace, plan: ScenarioPlan) -> PairsCost:
    """Return the most that a scenario trains on further pairs; fewer pairs follow where one trial is clearly ahead.

    Trials are assumed to switch at the mean switch epoch. Where the search varies stage one, each trial is assumed to
    train its own.
    """
    epochs, sharing = space.epochs, plan.sharing
    every = planned_sizes(plan.num_trials, space.seeds.pairs, space.seeds.reduction_factor)
    sizes = tuple(min(size, plan.num_trials) for size in every) if plan.num_trials > 1 else ()
    num_trials, is_forked = sum(sizes), sharing.shares and sharing.expected_trunks == 1
    stage_one = num_trials * sharing.mean_fork_epoch
    whole = (num_trials + len(sizes)) * epochs
    plain = len(sizes) * epochs + (0 if is_forked else stage_one)
    return PairsCost(sizes, round(whole - stage_one if is_forked else whole), round(plain))


def pairs_wall_s(
    epochs: int, costs: Sequence[PairsCost], times: Sequence[EpochTime | None], concurrent: int
) -> float | None:
    """Return the least wall time of the further pairs; None where epochs were not measured or nothing is run.

    A pair takes its longest run, or all its epochs spread over the simultaneous runs, whichever is longer, and pairs
    follow each other.

    Args:
        epochs: epochs of every run.
        costs: cost of each scenario.
        times: epoch times of each scenario.
        concurrent: runs that train at the same time.
    """
    timed = [(cost, time) for cost, time in zip(costs, times, strict=False) if time is not None]
    if not any(cost.sizes for cost in costs) or len(timed) < len(costs) or not concurrent:
        return None
    longest = max(len(cost.sizes) * epochs * max(time.stage_one_s, time.stage_two_s) for cost, time in timed)
    work = sum(
        cost.epochs_plain * time.stage_one_s + (cost.epochs - cost.epochs_plain) * time.stage_two_s
        for cost, time in timed
    )
    return max(longest, work / concurrent)
