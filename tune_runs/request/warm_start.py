"""The best configurations of another run as points to try first, read from its tables alone."""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from absgd import records
from absgd.config import RunConfig
from absgd.counts import plural
from absgd.errors import UserError
from absgd.records import SearchObjective
from tune_runs.request.scenario_nearness import ScenarioTraits, differences_in_words, remoteness, traits_of
from tune_runs.request.search_request import Points
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.parameters import Parameter, Scalar
from tune_runs.space.run_configs import parameter_values_of, point_identity, run_settings

NUM_POINTS = 5
"""Most points of each scenario."""
MOST_SENTENCES = 10
"""Scenarios whose points are explained one by one."""


class WarmStart(NamedTuple):
    """Points of another run to try first."""

    points: Points
    """Scenario of the new search -> its points, the best first."""
    sentences: tuple[str, ...]
    """Sentences that say whose points each scenario takes."""


def warm_start_of(space: SearchSpace, folder: Path) -> WarmStart:
    """Return for each scenario the best configurations of its namesake, or else of the nearest scenario, in `folder`.

    They are completed search trials that `space` can draw: those completed on most pairs of seeds first, then those
    with the best mean over these pairs. What is averaged is the score at the last epoch that `records.SearchObjective`
    makes of the metric or metrics of `space`. A scenario without any such trial lends nothing; the next one by
    `remoteness`, then by name, takes its place.

    Raises:
        UserError: if there is no such run, or it has no configuration that this space can draw.
    """
    path = folder / records.TRIALS_FILE
    if not path.is_file():
        raise UserError(f"expected a run folder with {records.TRIALS_FILE}, found none in {folder} (--warm-start)")
    earlier = _earlier_scenarios(folder, space.objective)
    found = {one.name: _taken(space, one, earlier) for one in space.scenario_list}
    points = {name: () if taken is None else taken.points for name, taken in found.items()}
    if not any(points.values()):
        known = ", ".join(sorted(one.name for one in earlier)) or "none"
        raise UserError(
            f"expected completed trials that this space can draw, got none: {folder} has scenarios {known} "
            "(--warm-start)"
        )
    return WarmStart(points, tuple(_sentences(found)))


class _EarlierScenario:
    """A scenario of the other run.

    Args:
        name: its name.
        rows: its completed search trials, the best first.
    """

    def __init__(self, name: str, rows: list[dict[str, Any]]) -> None:
        self.name, self._rows = name, rows

    @cached_property
    def configs(self) -> list[RunConfig]:
        """Configs of the trials, the best first."""
        return [records.config_of(row) for row in self._rows]

    @cached_property
    def traits(self) -> ScenarioTraits:
        """Traits of any trial: they are those of all."""
        return traits_of(records.config_of(self._rows[0]).to_dict())


class _TakenPoints(NamedTuple):
    points: tuple[dict[str, Scalar], ...]
    source: str
    why: str
    """Why this source, and how it differs; empty for a namesake."""


def _earlier_scenarios(folder: Path, objective: SearchObjective) -> list[_EarlierScenario]:
    """Return the scenarios that have completed trials, by name."""
    last = _last_scores(folder, objective)
    values: dict[tuple[str, int], list[float]] = defaultdict(list)
    searched: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in records.read_rows(folder / records.TRIALS_FILE, records.TRIAL_SCHEMA):
        name, number = row["scenario"], row["number"]
        is_counted = row["phase"] in ("search", "replicate") and row["status"] == "completed"
        if not is_counted or name is None or number is None or row["trial_id"] not in last:
            continue
        values[name, number].append(last[row["trial_id"]])
        if row["phase"] == "search":
            searched[name].append(row)

    def rank(row: dict[str, Any]) -> tuple[float, float]:
        own = values[row["scenario"], row["number"]]
        return -len(own), -statistics.fmean(own)

    return [_EarlierScenario(name, sorted(rows, key=rank)) for name, rows in sorted(searched.items())]


def _last_scores(folder: Path, objective: SearchObjective) -> dict[str, float]:
    """Return trial -> its score at its last epoch, larger is better."""
    rows = records.read_rows(folder / records.EPOCHS_FILE, records.EPOCH_SCHEMA)
    values = {row["trial_id"]: found for row in rows if (found := objective.values_in(row)) is not None}
    return {trial_id: objective.score(own) for trial_id, own in values.items()}


def _taken(space: SearchSpace, scenario: Scenario, earlier: Sequence[_EarlierScenario]) -> _TakenPoints | None:
    """Return the points of the namesake, else of the nearest scenario that has any; None if none has."""
    for one in earlier:
        if one.name == scenario.name and (points := _points(space, scenario, one)):
            return _TakenPoints(points, one.name, "")
    own = traits_of(run_settings(space, scenario, {}))
    for one in sorted(earlier, key=lambda one: remoteness(own, one.traits)):
        if points := _points(space, scenario, one):
            return _TakenPoints(points, one.name, _why(own, one.traits))
    return None


def _why(own: ScenarioTraits, nearest: ScenarioTraits) -> str:
    differences = differences_in_words(own, nearest)
    if not differences:
        return ", the same under another name"
    none = "" if own.has_data_of(nearest) else f", since none is of {own.data_name}"
    return f", the nearest{none}: {differences}"


def _points(space: SearchSpace, scenario: Scenario, earlier: _EarlierScenario) -> tuple[dict[str, Scalar], ...]:
    return tuple(itertools.islice(_drawable_points(space, scenario, earlier.configs), NUM_POINTS))


def _drawable_points(
    space: SearchSpace, scenario: Scenario, configs: Sequence[RunConfig]
) -> Iterator[dict[str, Scalar]]:
    tried: list[dict[str, Hashable]] = []
    for config in configs:
        point = parameter_values_of(space, scenario, config)
        if not all(_can_draw(space.search[name], value) for name, value in point.items()):
            continue
        if (identity := point_identity(space, point)) not in tried:
            tried.append(identity)
            yield point


def _can_draw(parameter: Parameter, value: Scalar) -> bool:
    return parameter.refusal(value) is None and parameter.contains(value)


def _sentences(found: Mapping[str, _TakenPoints | None]) -> Iterator[str]:
    for name, taken in itertools.islice(found.items(), MOST_SENTENCES):
        if taken is None:
            yield f"{name} takes no points: it can draw none of those found (--warm-start)"
        else:
            best = "the best point" if len(taken.points) == 1 else f"the best {len(taken.points)} points"
            yield f"{name} first tries {best} of {taken.source}{taken.why} (--warm-start)"
    if (others := len(found) - MOST_SENTENCES) > 0:
        yield f"and {plural(others, 'more scenario')} likewise (--warm-start)"
