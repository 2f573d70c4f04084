"""The cost of a confirmation, before the configuration is known that it is about.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from absgd.comparisons import ClaimRules, PriorVariance
from absgd.config import RunConfig
from absgd.records import best_name
from tune_runs.confirmation.candidates import Candidate, CandidateSet, with_controls
from tune_runs.confirmation.contests import Contest, Fork, contest_of, epochs_of_round
from tune_runs.confirmation.rounds import RoundRules
from tune_runs.preview.scenario_cost import EpochTime, with_times
from tune_runs.preview.simulated_rounds import ExpectedRounds, expected_rounds
from tune_runs.seed_pairs.seed_halving import planned_sizes
from tune_runs.space.boundary import boundary_runs
from tune_runs.space.model import SearchSpace
from tune_runs.space.space_sections import ConfirmConfig
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.tuned_controls.tuning_plan import BestControls, TunedControl, tuning_plan

_MAX_BOUNDARY_RUNS = 32  # runs at the boundary of a space considered as its best trial
SPREAD = 1.0
"""Assumed standard deviation of the difference of two candidates on one pair, in points."""


class ConfirmCost(NamedTuple):
    """The runs and epochs of one scenario on fresh seeds: at most, and as expected from simulated scores."""

    controls: tuple[str, ...]
    max_pairs: int
    num_runs: int
    """Most runs."""
    epochs: int
    """Most epochs trained, without inherited ones."""
    expected: ExpectedRounds


def confirm_cost(space: SearchSpace, plan: ScenarioPlan) -> ConfirmCost:
    """Return the cost of confirming a scenario whose best trial is at the boundary of the space.

    It is assumed to switch at the mean switch epoch, and to be the run at the boundary that needs most controls. The
    true differences to its controls are assumed to be normal with twice the standard deviation of a paired difference.
    """
    config, contest = space.confirm or ConfirmConfig(), likely_contest(space, plan)
    return ConfirmCost(
        controls=contest.rivals,
        max_pairs=config.max_pairs,
        num_runs=config.max_pairs * (1 + len(contest.rivals)) if contest.rivals else 0,
        epochs=_most_epochs(config, contest),
        expected=_expected(_Hashable.of(contest), simulated_rules(space)),
    )


def most_confirm_epochs(space: SearchSpace, plan: ScenarioPlan) -> int:
    """Return `ConfirmCost.epochs` alone, for which nothing is simulated."""
    return _most_epochs(space.confirm or ConfirmConfig(), likely_contest(space, plan))


def _most_epochs(config: ConfirmConfig, contest: Contest) -> int:
    most = config.max_pairs * epochs_of_round(contest, (contest.subject, *contest.rivals))
    return most if config.epoch_budget is None else min(most, config.epoch_budget)


def likely_contest(space: SearchSpace, plan: ScenarioPlan) -> Contest:
    """Return the contest of a best trial at the boundary of the space, the one with most controls."""
    config = space.confirm or ConfirmConfig()
    tuned = tuple(TunedControl(one.candidate, one.runs[0].config) for one in tuning_plan(space, plan).methods)
    every = (_candidates_of(best, plan, config, BestControls(tuned)) for best in _possible_winners(space, plan))
    members = max(every, key=lambda one: len(one.members)).members
    return contest_of(members)


def simulated_rules(space: SearchSpace) -> RoundRules:
    """Return the rules of the confirmation of a space, for scores in points whose differences spread by `SPREAD`."""
    config = space.confirm or ConfirmConfig()
    claims = ClaimRules(config.margin, num_scenarios=len(space.scenarios))
    return RoundRules(claims, config.max_pairs, config.epoch_budget, _prior(space), with_need=False)


def confirm_wall_s(
    epochs: int, costs: Sequence[ConfirmCost], times: Sequence[EpochTime | None], concurrent: int
) -> float | None:
    """Return the least wall time of the expected epochs of a confirmation; None where epochs were not measured.

    It is the longest chain of runs, or all epochs spread over the simultaneous runs, whichever is longer; reading the
    test set is not included.

    Args:
        epochs: epochs of every run.
        costs: cost of each scenario.
        times: epoch times of each scenario.
        concurrent: runs that train at the same time.
    """
    timed = with_times(costs, times)
    if not timed or not concurrent:
        return None
    longest = max(cost.expected.num_steps * epochs * time.longest_s for cost, time in timed)
    work = sum(
        time.seconds_of(cost.expected.epochs - cost.expected.epochs_of_subject, cost.expected.epochs_of_subject)
        for cost, time in timed
    )
    return max(longest, work / concurrent)


class _Hashable(NamedTuple):
    """A contest as a key: equal scenarios are simulated once."""

    subject: str
    rivals: tuple[str, ...]
    epochs: int
    forks: tuple[tuple[str, Fork], ...]
    deciding: frozenset[str]
    tuned: frozenset[str]
    gates: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, contest: Contest) -> _Hashable:
        forks, gates = tuple(sorted(contest.forks.items())), tuple(sorted(contest.gates.items()))
        return cls(contest.subject, contest.rivals, contest.epochs, forks, contest.deciding, contest.tuned, gates)

    def contest(self) -> Contest:
        forks, gates = dict(self.forks), dict(self.gates)
        return Contest(self.subject, self.rivals, self.epochs, forks, self.deciding, self.tuned, gates)


@lru_cache(maxsize=64)
def _expected(contest: _Hashable, rules: RoundRules) -> ExpectedRounds:
    return expected_rounds(contest.contest(), rules, SPREAD)


def _prior(space: SearchSpace) -> PriorVariance | None:
    """Return the spread that a search over several pairs will know, if no trial leaves before its turn."""
    sizes = planned_sizes(space.num_trials, space.seeds.pairs, space.seeds.reduction_factor)
    if not sizes:
        return None
    last, earlier = sizes[-1], sizes[-2] if len(sizes) > 1 else sizes[-1]
    of_all = last * len(sizes) + (earlier - last) * (len(sizes) - 1)
    df = of_all if earlier > 2 else len(sizes)  # of `absgd.comparisons.search_spread`
    return PriorVariance(SPREAD**2, float(df))


def _possible_winners(space: SearchSpace, plan: ScenarioPlan) -> list[RunConfig]:
    """Return configurations that could be the best: those with attention weights, if there are any."""
    found = []
    switches = plan.sharing.switch_epochs
    for _, settings in itertools.islice(boundary_runs(space, plan.scenario), _MAX_BOUNDARY_RUNS):
        config = RunConfig.from_dict(settings, f"scenario {plan.name}")
        if config.attention is not None and switches:
            config = config.with_values({"attention.switch_epoch": round(sum(switches) / len(switches))})
        found.append(config)
    return [one for one in found if one.attention is not None] or found


def _candidates_of(best: RunConfig, plan: ScenarioPlan, config: ConfirmConfig, tuned: BestControls) -> CandidateSet:
    return with_controls(Candidate(best_name(1), "1", best), plan.control, plan.name, config.controls, tuned)
