"""The best configurations of another run as points to try first, read from its tables alone."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

from absgd import records
from absgd.errors import UserError
from absgd.records import METRICS
from tune_runs.request.search_request import Points
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.parameters import Parameter, Scalar
from tune_runs.space.run_configs import parameter_values_of, point_identity

NUM_POINTS = 5
"""Most points of each scenario."""


def warm_start_points(space: SearchSpace, folder: Path) -> Points:
    """Return for each scenario the best configurations that the run in `folder` found in the scenario of the same name.

    They are completed search trials that `space` can draw: those that were completed on most pairs of seeds first, then
    by the mean over these pairs of the metric of `space` at the last epoch.

    Raises:
        UserError: if there is no such run, or it has no configuration that this space can draw.
    """
    path = folder / records.TRIALS_FILE
    if not path.is_file():
        raise UserError(f"expected a run folder with {records.TRIALS_FILE}, found none in {folder} (--warm-start)")
    rows = [
        row
        for row in records.read_rows(path, records.TRIAL_SCHEMA)
        if row["phase"] in ("search", "replicate") and row["status"] == "completed"
    ]
    last = _last_values(folder, space.metric)
    points = {one.name: tuple(_points(space, one, rows, last))[:NUM_POINTS] for one in space.scenario_list}
    if not any(points.values()):
        known = ", ".join(sorted({row["scenario"] for row in rows})) or "none"
        raise UserError(
            f"expected completed trials that this space can draw, in scenarios of the same name, "
            f"got none: {folder} has scenarios {known} (--warm-start)"
        )
    return points


def _last_values(folder: Path, metric: str) -> dict[str, float]:
    """Return trial -> the metric at its last epoch."""
    rows = records.read_rows(folder / records.EPOCHS_FILE, records.EPOCH_SCHEMA)
    return {row["trial_id"]: row[metric] for row in rows if row[metric] is not None}


def _points(
    space: SearchSpace, scenario: Scenario, rows: list[dict[str, Any]], last: Mapping[str, float]
) -> Iterator[dict[str, Scalar]]:
    sign = 1.0 if METRICS[space.metric] == "max" else -1.0
    values: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        if row["scenario"] == scenario.name and row["trial_id"] in last:
            values[row["number"]].append(sign * last[row["trial_id"]])
    own = [
        row for row in rows if row["scenario"] == scenario.name and row["phase"] == "search" and row["number"] in values
    ]
    tried: list[dict[str, Hashable]] = []
    for row in sorted(own, key=lambda row: (-len(values[row["number"]]), -statistics.fmean(values[row["number"]]))):
        point = parameter_values_of(space, scenario, records.config_of(row))
        if not all(_can_draw(space.search[name], value) for name, value in point.items()):
            continue
        if (identity := point_identity(space, point)) not in tried:
            tried.append(identity)
            yield point


def _can_draw(parameter: Parameter, value: Scalar) -> bool:
    return parameter.refusal(value) is None and parameter.contains(value)
