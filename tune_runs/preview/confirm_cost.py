"""The cost of a confirmation, before the best trials are known.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from absgd.config import RunConfig
from absgd.records import best_name
from tune_runs.confirm.candidates import Candidate, CandidateSet, confirm_runs, with_controls
from tune_runs.preview.scenario_cost import EpochTime
from tune_runs.seed_pairs.pair_runs import seed_pair
from tune_runs.space.boundary import boundary_runs
from tune_runs.space.model import ConfirmConfig, SearchSpace
from tune_runs.trunks.scenario_plan import ScenarioPlan

_MAX_BOUNDARY_RUNS = 32  # runs at the boundary of a space considered as its best trial


class ConfirmCost(NamedTuple):
    """The most that one scenario trains on fresh seeds."""

    num_best: int
    """Number of best configurations."""
    controls: tuple[str, ...]
    num_seeds: int
    num_runs: int
    num_trunks: int
    epochs: int
    """Epochs trained, without inherited ones."""
    epochs_plain: int
    """Epochs among `epochs` that controls train."""


def confirm_cost(space: SearchSpace, plan: ScenarioPlan) -> ConfirmCost:
    """Return the cost of confirming a scenario whose best trials are at the boundary of the space.

    Winners are assumed to switch at the mean switch epoch, and to be the run at the boundary that needs most controls.
    Where the search varies stage one, only the best configuration shares it with a control.

    Args:
        space: its `confirm`, or the default where it has none, says what is trained.
        plan: plan of the scenario.
    """
    config = space.confirm or ConfirmConfig()
    num_best = min(config.top, space.num_trials)
    every = (_candidates_of(best, num_best, plan, config) for best in _possible_winners(space, plan))
    candidates = max(every, key=lambda one: len(one.members)).members
    runs = confirm_runs(candidates, [seed_pair(plan.control.seeds, 1 + n) for n in range(config.seeds)])
    alone = {best_name(place) for place in range(2, num_best + 1)} if plan.sharing.expected_trunks != 1 else set()
    trained = {run.trial_id: run.config.epochs - (0 if run.candidate in alone else run.fork_at) for run in runs}
    controls = tuple(one.name for one in candidates[num_best:])
    return ConfirmCost(
        num_best=num_best,
        controls=controls,
        num_seeds=config.seeds,
        num_runs=len(runs),
        num_trunks=sum(bool(run.save_at) for run in runs),
        epochs=sum(trained.values()),
        epochs_plain=sum(trained[run.trial_id] for run in runs if run.candidate in controls),
    )


def confirm_wall_s(
    epochs: int, costs: Sequence[ConfirmCost], times: Sequence[EpochTime | None], concurrent: int
) -> float | None:
    """Return the least wall time of a confirmation; None where epochs were not measured or nothing is run.

    It is the longest run, or all epochs spread over the simultaneous runs, whichever is longer; reading the test set
    is not included.

    Args:
        epochs: epochs of every run.
        costs: cost of each scenario.
        times: epoch times of each scenario.
        concurrent: runs that train at the same time.
    """
    timed = [(cost, time) for cost, time in zip(costs, times, strict=False) if time is not None]
    if not timed or len(timed) < len(costs) or not concurrent:
        return None
    longest = max(epochs * max(time.stage_one_s, time.stage_two_s) for _, time in timed)
    work = sum(
        cost.epochs_plain * time.stage_one_s + (cost.epochs - cost.epochs_plain) * time.stage_two_s
        for cost, time in timed
    )
    return max(longest, work / concurrent)


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


def _candidates_of(best: RunConfig, count: int, plan: ScenarioPlan, config: ConfirmConfig) -> CandidateSet:
    bests = [Candidate(best_name(place), f"{place}", best) for place in range(1, count + 1)]
    return with_controls(bests, bests[0], plan.control, plan.name, config.controls)
