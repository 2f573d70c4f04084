"""Part 6: a search with cohorts and with processes, beside one process per trial through plain Ray Tune.

The search of `fashion_mnist.yaml` at full size, of its first scenario on one pair of seeds, without confirmation and
tuned controls, which the plain script has not. Both sides try the same random configurations.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from absgd.datasets import load_splits
from benchmarks.complete_curves.curve_training import random_configs
from benchmarks.gpu.part_job import PartFailed, PartJob, texts
from benchmarks.gpu.part_records import NOT_MEASURED, PartSection
from benchmarks.harness.locations import SPACES
from benchmarks.search_cost.case_results import best_value
from benchmarks.search_cost.search_runs import curves_of, read_run, run_command, run_plain
from tune_runs.request.space_files import load_space, with_options
from tune_runs.space.model import SearchSpace
from tune_runs.space.run_configs import control_config, parameter_values_of

SPACE = "fashion_mnist"
DRY_RUN_SPACE = SPACES / "gpu_dry_run.yaml"
OURS: dict[str, dict[str, Any]] = {
    "cohorts": {"cpu": 4, "gpu": 1, "cohort": 8},
    "processes": {"cpu": 1, "gpu": 0.25},
}
OURS_ON_CPU: dict[str, dict[str, Any]] = {
    "cohorts": {"cpu": 1, "gpu": 0, "cohort": 2},
    "processes": {"cpu": 1, "gpu": 0},
}
PLAIN_RESOURCES = {"cpu": 1.0, "gpu": 0.25}
FAST: Mapping[str, object] = {"base.device": {"fast": True}}


class SearchOutcome(NamedTuple):
    """One search from the start of its process to its end."""

    wall_s: float
    epochs: int
    best: float
    """Best value at the last epoch of a trial that trained it."""
    failed: int
    """Trials that failed."""


def measure(job: PartJob) -> None:
    """Search in each way, then with the plain script.

    Raises:
        PartFailed: if Ray is not installed.
        UserError: if the images are not there.
    """
    if find_spec("ray") is None:
        raise PartFailed("it needs the package ray, which is not installed")
    space = searched_space(job, {})
    load_splits(control_config(space, space.scenario_list[0]))
    found: dict[str, SearchOutcome] = {}
    for name, resources in (OURS_ON_CPU if job.is_dry_run else OURS).items():
        job.measure(f"absgd-tune, {name}", partial(own_section, job, name, resources, found))
    job.measure("Plain Ray Tune, one process per trial", partial(plain_section, job, found))
    job.measure("Beside each other", lambda: compared_section(found))
    job.finish()


def searched_space(job: PartJob, settings: Mapping[str, object]) -> SearchSpace:
    """Return the space to search, its trials enqueued, with settings by dotted key."""
    given = {**settings, **({"base.data.root": job.data_root} if job.data_root else {})}
    space = load_space(DRY_RUN_SPACE if job.is_dry_run else SPACE, given)
    first = space.scenarios[0].model_dump(mode="json")
    options = {"scenarios": [first], "seeds": {"pairs": 1}, "confirm": None, "controls": {"tuned": False}}
    space = with_options(space, {**options, "enqueue": []})
    scenario = space.scenario_list[0]
    points = [parameter_values_of(space, scenario, config) for config in random_configs(space, scenario)]
    return with_options(space, {"enqueue": points})


def own_section(job: PartJob, name: str, resources: dict[str, Any], found: dict[str, SearchOutcome]) -> PartSection:
    """Run the command on the space with these resources; add the outcome to `found`."""
    space = with_options(searched_space(job, FAST), {"resources": resources})
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run = run_command(space, Path(folder))
        wall_s = time.perf_counter() - started
        trials, epochs = read_run(run)
    numbers = {row["trial_id"]: row["number"] for row in trials if row["phase"] == "search"}
    rows = [{**row, "number": numbers[row["trial_id"]]} for row in epochs if row["trial_id"] in numbers]
    failed = sum(row["status"] == "failed" for row in trials)
    own = sum(row["epochs_trained"] for row in trials)
    outcome = found[name] = SearchOutcome(wall_s, own, best_value(space, curves_of(rows)), failed)
    faults = (f"{failed} of {len(trials)} trials failed",) if failed else ()
    words = f"resources {resources}, device.fast"
    return PartSection("", texts([words, outcome_line(name, outcome)]), outcome, faults=faults)


def plain_section(job: PartJob, found: dict[str, SearchOutcome]) -> PartSection:
    """Run the plain script on the exact path, under the stronger of its two ASHAs; add the outcome to `found`."""
    space = searched_space(job, {})
    resources = {"cpu": 1.0} if job.is_dry_run else PLAIN_RESOURCES
    run = run_plain(space, "since_switch", resources)
    outcome = found["plain"] = SearchOutcome(run.wall_s, run.epochs, best_value(space, run.curves), 0)
    words = f"resources {resources}, the exact path, ASHA by epochs since the latest switch"
    return PartSection("", texts([words, outcome_line("plain", outcome)]), outcome)


def compared_section(found: dict[str, SearchOutcome]) -> PartSection:
    """Compare wall times of what was run."""
    lines = [outcome_line(name, one) for name, one in found.items()]
    for name in ("cohorts", "processes"):
        if name in found and "plain" in found:
            lines.append(f"{name}: {found['plain'].wall_s / found[name].wall_s:.2f} times as fast as plain Ray Tune")
        else:
            lines.append(f"{name} beside plain Ray Tune: {NOT_MEASURED}")
    if {"cohorts", "processes"} <= found.keys():
        ratio = found["processes"].wall_s / found["cohorts"].wall_s
        lines.append(f"cohorts: {ratio:.2f} times as fast as processes")
    return PartSection("", texts(lines), found)


def outcome_line(name: str, one: SearchOutcome) -> str:
    """Format an outcome.

    >>> outcome_line("plain", SearchOutcome(10.0, 40, 0.5, 0))
    'plain: 10.0 s, 40 epochs trained, best value 0.5000'
    """
    return f"{name}: {one.wall_s:.1f} s, {one.epochs} epochs trained, best value {one.best:.4f}"
