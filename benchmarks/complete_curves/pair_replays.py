"""Searches over several seed pairs replayed on complete curves, with the code that decides in a search."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from absgd import records
from absgd.errors import UserError
from benchmarks.complete_curves.curve_sets import CurveSet, load_cells
from benchmarks.complete_curves.curve_tables import SeedCurves, TrialCurve
from benchmarks.complete_curves.search_replay import ReplayedSearch, replay_ours, stopping_under, take_turns
from tune_runs.seed_pairs.seed_halving import STANDARD_ERRORS, going_on, planned_sizes
from tune_runs.space.space_sections import EarlyStoppingConfig
from tune_runs.stopping.stopping_rules import ScenarioStopping

AT_ONCE = 4


class PairCurves:
    """The curves of a scenario on one seed, and what a search over pairs reads of them.

    Args:
        cell: the curves.
    """

    def __init__(self, cell: SeedCurves) -> None:
        self.cell = cell
        self.by_number = {curve.number: curve for curve in cell.curves}
        self.gains_at_end = {curve.number: _gain(cell, curve) for curve in cell.curves}
        """Gain over the control at the last epoch trained."""
        self.gains = {n: gain if self.is_complete(n) else math.nan for n, gain in self.gains_at_end.items()}
        """The same; NaN for a trial that diverged."""

    def is_complete(self, number: int) -> bool:
        """Whether a trial reaches the last epoch."""
        return self.cell.is_complete(self.by_number[number])

    def curves(self, numbers: Iterable[int]) -> list[TrialCurve]:
        """Return the curves of trials in their order."""
        return [self.by_number[number] for number in numbers]


def _gain(cell: SeedCurves, curve: TrialCurve) -> float:
    return cell.sign * (curve.end() - cell.control[cell.space.epochs - 1])


PairCells = Mapping[int, PairCurves]
"""The curves of one scenario by seed."""


@dataclasses.dataclass(frozen=True)
class SeedPlan:
    """A plan of the seed pairs of a search."""

    name: str
    pairs: int
    stopping: EarlyStoppingConfig | None
    """Early stopping on the first pair."""
    reduction_factor: int = 3
    sizes: tuple[int, ...] | None = None
    """Configurations on each further pair, in place of those that `reduction_factor` gives."""
    standard_errors: float = STANDARD_ERRORS
    """Distance behind the best at which a configuration leaves; infinite: none leaves before its turn."""
    later_stopping: EarlyStoppingConfig | None = None
    """Early stopping on further pairs."""
    first_pairs: Literal[1, 2] = 1
    """2: every other trial begins on the second pair."""

    def sizes_for(self, num_trials: int) -> tuple[int, ...]:
        """Return the most configurations on each further pair."""
        return planned_sizes(num_trials, self.pairs, self.reduction_factor) if self.sizes is None else self.sizes


class ReplayedChoice(NamedTuple):
    """Outcome of a replayed search over pairs."""

    chosen: int
    """Number of the configuration."""
    epochs: int
    """Of all trials, replicates and controls."""
    pairs_used: int
    gains: Mapping[int, Sequence[float]]
    """Trial -> its gain on each pair; NaN where it diverged."""


def replay_plan(
    cells: PairCells, order: Sequence[int], seeds: Sequence[int], plan: SeedPlan, first: ReplayedSearch | None = None
) -> ReplayedChoice:
    """Replay one search.

    Args:
        cells: curves of the scenario.
        order: numbers of the trials in order of arrival.
        seeds: the seeds that stand for pair 0, 1, ...
        plan: with as many pairs.
        first: the search on pair 0 alone, if it was replayed already.
    """
    if plan.first_pairs == 2:
        gains, losses, epochs = _begun_on_two(cells, order, seeds, plan)
    else:
        first = first or first_pair(cells, order, seeds[0], plan)
        gains = {curve.number: [cells[seeds[0]].gains[curve.number]] for curve in first.completed}
        losses = {curve.number: curve.val_loss for curve in first.completed}
        epochs = first.epochs
    begun = max(map(len, gains.values()))
    sizes = plan.sizes_for(len(order))[begun - 1 :]
    for size, seed in zip(sizes, seeds[begun:], strict=True):
        live = going_on(gains, losses, size, plan.standard_errors)
        if len(live) == 1:
            break
        epochs += _train_further(cells[seed], live, plan, gains)
    used = max(map(len, gains.values()))
    return ReplayedChoice(going_on(gains, losses, 1, plan.standard_errors)[0], epochs, used, gains)


def first_pair(cells: PairCells, order: Sequence[int], seed: int, plan: SeedPlan) -> ReplayedSearch:
    """Replay the search on pair 0, which ends where `pairs: 1` does."""
    cell = cells[seed].cell
    return replay_ours(cell, cells[seed].curves(order), AT_ONCE, stopping_under(cell.space, plan.stopping))


def _train_further(pair: PairCurves, live: Sequence[int], plan: SeedPlan, gains: dict[int, list[float]]) -> int:
    """Train configurations and the control on a further pair; add their gains and return the epochs."""
    curves, space = pair.curves(live), pair.cell.space
    ended, epochs = set(live), space.epochs + sum(len(curve.by_epoch) for curve in curves)
    if plan.later_stopping:
        trained = replay_ours(pair.cell, curves, AT_ONCE, stopping_under(space, plan.later_stopping))
        ended, epochs = {curve.number for curve in trained.completed}, trained.epochs
    for number in live:
        if number in ended or not pair.is_complete(number):
            gains[number].append(pair.gains[number])
    return epochs


def _begun_on_two(
    cells: PairCells, order: Sequence[int], seeds: Sequence[int], plan: SeedPlan
) -> tuple[dict[int, list[float]], dict[int, float], int]:
    """Begin every other trial on the second pair, compare all by gain, and train the best on the pair they lack."""
    home = {number: cells[seeds[place % 2]] for place, number in enumerate(order)}
    away = {number: cells[seeds[1 - place % 2]] for place, number in enumerate(order)}
    space = cells[seeds[0]].cell.space
    mode = records.METRICS[space.objective.first]
    judge = ScenarioStopping(stopping_under(space, plan.stopping), mode, lambda _: 0.0)

    def is_behind(curve: TrialCurve, epoch: int) -> bool:
        over_control = curve.by_epoch[epoch] - home[curve.number].cell.control[epoch]
        return judge.falls_behind(str(curve.number), curve.switch, epoch, over_control)

    begun = take_turns(cells[seeds[0]].cell, [home[n].by_number[n] for n in order], AT_ONCE, is_behind)
    gains = {curve.number: [home[curve.number].gains[curve.number]] for curve in begun.completed}
    losses = {curve.number: curve.val_loss for curve in begun.completed}
    further = going_on(gains, losses, plan.sizes_for(len(order))[0])
    for number in further:
        gains[number].append(away[number].gains[number])
    epochs = begun.epochs + 2 * space.epochs + sum(len(away[n].by_number[n].by_epoch) for n in further)
    return gains, losses, epochs


def by_age(reduction_factor: int, grace_period: int) -> EarlyStoppingConfig:
    """Return early stopping by the default rule."""
    return EarlyStoppingConfig(rule="age_then_epoch", reduction_factor=reduction_factor, grace_period=grace_period)


ONE_PAIR = SeedPlan("one pair", 1, by_age(3, 2))
"""The search with `pairs: 1`."""
TOP_THREE = SeedPlan(
    "one pair, then its best 3 on three more", 4, by_age(3, 2), sizes=(3, 3, 3), standard_errors=math.inf
)
"""The choice of earlier versions, by a search on one pair and its confirmation."""
DEFAULT_PLAN = SeedPlan("default", 4, by_age(2, 2))


def pair_cells(curves: CurveSet, plan: SeedPlan = DEFAULT_PLAN) -> dict[str, PairCells]:
    """Return the committed curves of each scenario by seed.

    Args:
        curves: the set.
        plan: to replay; one seed at least is held out from it.

    Raises:
        UserError: if there are none, or a scenario has too few seeds to hold one out.
    """
    found: dict[str, dict[int, PairCurves]] = defaultdict(dict)
    for cell in load_cells(curves):
        found[cell.scenario][cell.seed] = PairCurves(cell)
    for scenario, cells in found.items():
        if len(cells) <= plan.pairs:
            raise UserError(f"expected curves of more than {plan.pairs} seeds, got {len(cells)} ({scenario})")
    return dict(found)
