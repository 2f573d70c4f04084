"""The plan and cost of a search in numbers, before anything is trained; `preview_drawing` draws them.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from absgd.config.dotted_keys import setting_value
from tune_runs.preview.confirm_cost import ConfirmCost, confirm_cost, confirm_wall_s
from tune_runs.preview.pairs_cost import PairsCost, pairs_cost, pairs_wall_s
from tune_runs.preview.scenario_cost import EpochTime, ScenarioCost, scenario_cost, wall_time_s
from tune_runs.preview.tuning_cost import TuningCost, tuning_cost, tuning_wall_s
from tune_runs.space.boundary import boundary_runs
from tune_runs.space.model import SearchSpace
from tune_runs.space.parameters import Scalar, numeral
from tune_runs.space.run_configs import EnqueuedPoints, enqueued_points
from tune_runs.stopping.rungs import EarlyStopping, early_stopping
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.trunks.stage_one_sharing import StageOneSharing


@dataclasses.dataclass(frozen=True)
class ParameterRange:
    """A searched parameter in words."""

    name: str
    range: str
    condition: str
    """When the parameter is drawn; empty: always."""


@dataclasses.dataclass(frozen=True)
class SearchPreview:
    """The numbers of a search before anything is trained."""

    space: SearchSpace
    scenarios: tuple[ScenarioCost, ...]
    parameters: tuple[ParameterRange, ...]
    stopping: EarlyStopping
    survivors: tuple[float, ...]
    """Trials of a scenario expected to pass each rung of `stopping.ladder`; none where that is not modelled."""
    points: EnqueuedPoints
    num_cpus: float
    """CPUs of all nodes."""
    num_gpus: float
    """GPUs of all nodes."""
    concurrent: int
    """Runs that train at the same time on these nodes."""
    wall_s: float | None
    """Least wall time of the expected epochs; None where epochs were not measured or nothing fits."""
    pairs: tuple[PairsCost, ...]
    """Cost of the further seed pairs of each scenario."""
    pairs_s: float | None
    """Wall time of the further pairs, on top of `wall_s`."""
    tuning: tuple[TuningCost, ...]
    """Cost of the tuned controls of each scenario; none where no control is tuned."""
    tuning_s: float | None
    """Wall time of the tuned controls, on top of both."""
    confirmation: tuple[ConfirmCost, ...]
    """Cost of confirming each scenario; none where nothing is confirmed."""
    confirm_s: float | None
    """Wall time of the confirmation, on top of all before."""

    passes: str | None
    """Sentence about runs that take two passes a step, whose epochs cost about twice as much; None: there are none."""

    @property
    def rungs(self) -> tuple[int, ...]:
        """Rungs at which trials are compared, in `stopping.unit`."""
        return self.stopping.rungs


def preview_search(
    space: SearchSpace,
    plans: Mapping[str, ScenarioPlan],
    nodes: Sequence[tuple[float, float]],
    times: Mapping[str, EpochTime] | None = None,
) -> SearchPreview:
    """Return what a search would train and cost on the given machines.

    Args:
        space: the search space.
        plans: the plan of each of its scenarios.
        nodes: CPUs and GPUs of each machine.
        times: scenario -> times of its epochs, where they were measured.
    """
    num_cpus, num_gpus = (sum(amounts) for amounts in zip(*nodes, strict=True))
    resources = space.resources.on(num_gpus)
    fitting = sum(resources.concurrent(cpus, gpus) for cpus, gpus in nodes)
    concurrent = min(fitting, (space.num_trials + 1) * len(space.scenarios))
    stopping = early_stopping(space)
    costs = [scenario_cost(space, plan, stopping, (times or {}).get(name)) for name, plan in plans.items()]
    pairs = [pairs_cost(space, plan, stopping) for plan in plans.values()]
    at_once = min(fitting, sum(one.num_runs for one in pairs))
    pairs_s = pairs_wall_s(space.epochs, pairs, [cost.time for cost in costs], at_once)
    tuning = [tuning_cost(space, plan) for plan in plans.values()] if space.controls.tuned else []
    tuning_s = tuning_wall_s(space.epochs, tuning, [cost.time for cost in costs], fitting)
    confirmation = [confirm_cost(space, plan) for plan in plans.values()] if space.confirm else []
    num_runs = sum(one.num_runs for one in confirmation)
    confirm_s = confirm_wall_s(space.epochs, confirmation, [cost.time for cost in costs], min(fitting, num_runs))
    return SearchPreview(
        space=space,
        scenarios=tuple(costs),
        parameters=tuple(_parameter_range(space, name) for name in space.search),
        stopping=stopping,
        survivors=_survivors(space, stopping, costs[0].sharing),
        points=enqueued_points(space),
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        concurrent=concurrent,
        wall_s=wall_time_s(space.epochs, costs, concurrent) if concurrent else None,
        pairs=tuple(pairs),
        pairs_s=pairs_s,
        tuning=tuple(tuning),
        tuning_s=tuning_s,
        confirmation=tuple(confirmation),
        confirm_s=confirm_s,
        passes=_passes(space, next(iter(plans.values())), is_measured=times is not None),
    )


def _passes(space: SearchSpace, plan: ScenarioPlan, is_measured: bool) -> str | None:
    """Describe the passes of SAM, which are the same in every scenario."""
    runs = boundary_runs(space, plan.scenario)
    found = {setting_value(settings, "optimizer.sam_rho") > 0 for _, settings in runs}
    rho = plan.control.optimizer.sam_rho
    if found | {rho > 0} == {False}:
        return None
    if found | {rho > 0} == {True}:
        return "two in every step (`optimizer.sam_rho`), so that an epoch takes about twice as long"
    own = f"; times here are for `sam_rho` {numeral(rho)}" if is_measured else ""
    return f"two in steps with `optimizer.sam_rho` > 0, whose epochs take about twice as long{own}"


def _survivors(space: SearchSpace, stopping: EarlyStopping, shared: StageOneSharing) -> tuple[float, ...]:
    """Return the survivors of one scenario, which are those of any: all search the same parameters."""
    return stopping.survivors(space.num_trials, shared.switch_epochs or (stopping.start_of(None),))


def _parameter_range(space: SearchSpace, name: str) -> ParameterRange:
    parameter = space.search[name]
    conditions = (f"{parent} is {_either(allowed)}" for parent, allowed in parameter.when.items())
    return ParameterRange(name, parameter.describe(), " and ".join(conditions))


def _either(values: tuple[Scalar, ...]) -> str:
    return " or ".join(map(written, values))


def written(value: Scalar) -> str:
    """Return the value of a parameter as a user writes it in YAML."""
    return numeral(value) if isinstance(value, float) else "null" if value is None else str(value)
