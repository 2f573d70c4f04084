"""`absgd-tune --preview` and `--measure`: print the plan and cost of a search.

Torch and Ray are imported only where a search is measured or a cluster is asked.
"""

from __future__ import annotations

import os
import shutil
import sys

from rich.console import Console

from absgd.terminal import interruptible, print_product
from tune_runs.preview.preview_drawing import draw_preview
from tune_runs.preview.scenario_cost import EpochTime
from tune_runs.preview.search_preview import preview_search
from tune_runs.space.model import SearchSpace
from tune_runs.trunks.scenario_plan import ScenarioPlan, plan_scenarios


def print_preview(space: SearchSpace, address: str | None, measure: bool, console: Console) -> None:
    """Print the plan and cost of a search, and with `measure` its wall time and the packings of this machine.

    Args:
        space: the search space.
        address: address of the Ray cluster that would run it; None: this machine.
        measure: whether to train for some seconds.
        console: prints the tables.

    Raises:
        UserError: if there is no such cluster, or a run cannot be trained.
    """
    nodes = _nodes_here(space, address)
    plans = plan_scenarios(space)
    times = None
    if measure:
        from tune_runs.preview.epoch_times import measure_epoch_times

        times = measure_epoch_times(space, plans, _say)
    console.print(draw_preview(preview_search(space, plans, nodes, times)))
    if times:
        first = next(iter(times))
        _print_probe(space, plans[first], times[first], console)
    print_product("")  # a full disk that cut the tables is an error


def _print_probe(space: SearchSpace, plan: ScenarioPlan, time: EpochTime, console: Console) -> None:
    """Measure how many simultaneous trials pay off on this machine, also where the search is for a cluster."""
    if space.resources.ranks > 1:
        key = "gpus_per_trial" if space.resources.gpus_per_trial else "ranks_per_trial"
        _say(f"trials at once are not probed: each has several processes ({key})")
        return
    from tune_runs.preview.packing_probe import probe_packings
    from tune_runs.preview.probe_table import draw_probe

    with interruptible():
        found = probe_packings(space, plan, time.stage_two_s, *_this_machine(space), _say)
    console.print(draw_probe(found))


def _say(line: str) -> None:
    print(f"absgd-tune: {line}", file=sys.stderr, flush=True)


def _nodes_here(space: SearchSpace, address: str | None) -> list[tuple[float, float]]:
    """Return the CPUs and GPUs of each node of the cluster, or of this machine."""
    if address is not None:
        from tune_runs.ray_cluster.session import node_sizes, ray_session

        with ray_session(address):
            return [(node.cpus, node.gpus) for node in node_sizes()]
    return [_this_machine(space)]


def _this_machine(space: SearchSpace) -> tuple[int, int]:
    """Return the CPUs and GPUs of this machine; torch is imported only where there is a GPU driver."""
    num_gpus = 0
    if space.resources.gpu != 0 and shutil.which("nvidia-smi"):
        import torch

        num_gpus = torch.cuda.device_count()
    num_cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return num_cpus, num_gpus
