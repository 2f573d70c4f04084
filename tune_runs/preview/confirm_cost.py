"""What a confirmation will cost, before anything is known of the best trials; no torch, Ray or Optuna."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from absgd.config import RunConfig
from absgd.records import best_name
from tune_runs.confirm.candidates import Candidate, CandidateSet, confirm_runs, seed_pairs, with_controls
from tune_runs.preview.search_cost import EpochTime
from tune_runs.space.boundary import boundary_runs
from tune_runs.space.model import ConfirmConfig, SearchSpace
from tune_runs.trunks.scenario_plan import ScenarioPlan

_MAX_CORNERS = 32  # of a space, that are taken for its best trial


class ConfirmCost(NamedTuple):
    """What is trained on fresh seeds in one scenario, at most."""

    num_best: int
    """Best configurations."""
    controls: tuple[str, ...]
    num_seeds: int
    num_runs: int
    num_trunks: int
    epochs: int
    """Those inherited not counted."""
    epochs_plain: int
    """Those of `epochs` that are of controls."""


def confirm_cost(space: SearchSpace, plan: ScenarioPlan) -> ConfirmCost:
    """The cost of confirming a scenario whose best trials are like one at a corner of the space.

    Its switch is the mean one; of the corners that with most controls is taken. Where the search varies stage one, only
    the best configuration shares it with a control.

    Args:
        space: its `confirm`, or the default where it has none, says what is trained.
        plan: of the scenario.
    """
    config = space.confirm or ConfirmConfig()
    num_best = min(config.top, space.num_trials)
    every = (_candidates_of(best, num_best, plan, config) for best in _possible_winners(space, plan))
    candidates = max(every, key=lambda one: len(one.members)).members
    runs = confirm_runs(candidates, seed_pairs(plan.control.seeds, config.seeds))
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
    """Wall time of a confirmation after the search, at least; None where epochs were not measured or nothing is run.

    Either the longest run, or all epochs, spread over the runs at once; the test set comes on top.

    Args:
        epochs: of every run.
        costs: of each scenario.
        times: what an epoch of each takes.
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
    """Some trials, those with attention weights where there are such."""
    found = []
    switches = plan.sharing.switch_epochs
    for _, settings in itertools.islice(boundary_runs(space, plan.scenario), _MAX_CORNERS):
        config = RunConfig.from_dict(settings, f"scenario {plan.name}")
        if config.attention is not None and switches:
            config = config.with_values({"attention.switch_epoch": round(sum(switches) / len(switches))})
        found.append(config)
    return [one for one in found if one.attention is not None] or found


def _candidates_of(best: RunConfig, count: int, plan: ScenarioPlan, config: ConfirmConfig) -> CandidateSet:
    bests = [Candidate(best_name(place), f"{place}", best) for place in range(1, count + 1)]
    return with_controls(bests, bests[0], plan.control, plan.name, config.controls)
