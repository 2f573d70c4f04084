"""The cost of a search over further seed pairs, before it is known which trials go on.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tune_runs.preview.scenario_cost import EpochTime, with_times
from tune_runs.seed_pairs.seed_halving import LEAST_SIZE, planned_sizes
from tune_runs.space.model import SearchSpace
from tune_runs.stopping.rungs import EarlyStopping
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.trunks.stage_one_sharing import StageOneSharing


class PairsCost(NamedTuple):
    """The runs and epochs of one scenario on further seed pairs: at most, and as expected."""

    sizes: tuple[int, ...]
    """Most trials on each further pair, from pair 1 on; none where there is nothing to choose from."""
    expected_sizes: tuple[int, ...]
    """The same where early stopping leaves as many trials as expected; fewer where one is clearly ahead."""
    epochs: int
    """Most epochs trained, without inherited ones."""
    expected: int
    """Epochs with `expected_sizes`."""
    expected_plain: int
    """Epochs among `expected` that train the base criterion alone."""

    @property
    def num_runs(self) -> int:
        """Expected runs: trials, and a control on each pair."""
        return sum(self.expected_sizes) + len(self.expected_sizes)


def pairs_cost(space: SearchSpace, plan: ScenarioPlan, stopping: EarlyStopping) -> PairsCost:
    """Return the cost of a scenario on further pairs, where no trial is so far ahead that it is chosen early.

    Trials are assumed to switch at the mean switch epoch. Where the search varies stage one, each trial is assumed to
    train its own.
    """
    num_trials = plan.num_trials
    every = planned_sizes(num_trials, space.seeds.pairs, space.seeds.reduction_factor)
    sizes = tuple(min(size, num_trials) for size in every) if num_trials >= LEAST_SIZE else ()
    left = stopping.survivors(num_trials, plan.sharing.switch_epochs or (stopping.start_of(None),))
    completed = max(LEAST_SIZE, round(left[-1])) if left and stopping.is_modelled else num_trials
    expected = tuple(min(size, completed) for size in sizes)
    epochs, plain = _epochs(space.epochs, plan.sharing, expected)
    return PairsCost(sizes, expected, _epochs(space.epochs, plan.sharing, sizes)[0], epochs, plain)


def _epochs(epochs: int, sharing: StageOneSharing, sizes: Sequence[int]) -> tuple[int, int]:
    """Return the epochs of all runs on pairs of these sizes, and those of the base criterion alone."""
    num_trials, controls = sum(sizes), len(sizes) * epochs
    stage_one = num_trials * sharing.mean_fork_epoch
    is_forked = sharing.shares and sharing.expected_trunks == 1
    whole = controls + num_trials * epochs
    return round(whole - stage_one if is_forked else whole), round(controls + (0 if is_forked else stage_one))


def pairs_wall_s(
    epochs: int, costs: Sequence[PairsCost], times: Sequence[EpochTime | None], concurrent: int
) -> float | None:
    """Return the least wall time of the expected runs; None where epochs were not measured or nothing is run.

    A pair takes its longest run, or all its epochs spread over the simultaneous runs, whichever is longer, and pairs
    follow each other.

    Args:
        epochs: epochs of every run.
        costs: cost of each scenario.
        times: epoch times of each scenario.
        concurrent: runs that train at the same time.
    """
    timed = with_times(costs, times)
    if not any(cost.sizes for cost, _ in timed) or not concurrent:
        return None
    longest = max(len(cost.sizes) * epochs * time.longest_s for cost, time in timed)
    work = sum(time.seconds_of(cost.expected_plain, cost.expected - cost.expected_plain) for cost, time in timed)
    return max(longest, work / concurrent)
