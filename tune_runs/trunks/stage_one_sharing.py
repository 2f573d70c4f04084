"""How the trials of a scenario share stage one: which parameters decide it, how many there are, whether sharing pays.

The deciding parameters are found by comparing runs that differ in one parameter alone, not read from a list of names.
Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from absgd.config import RunConfig
from absgd.counts import plural
from tune_runs.space.boundary import boundary_runs, covers_every_combination
from tune_runs.space.distinct_points import num_values, value_at
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.parameters import Parameter, Scalar
from tune_runs.space.run_configs import active_values, enqueued_points, run_settings
from tune_runs.trunks.trunk_use import fork_epoch

Values = Mapping[str, Scalar]

_MAX_COMBINATIONS = 512  # of deciding values; beyond this, each combination counts as its own stage one
_MAX_CONTEXTS = 8  # in which parameters are varied, where the boundary runs do not cover every combination of choices
_MAX_FORK_EPOCHS = 1000  # beyond this, only some have snapshots; trials train the epochs between


@dataclass(frozen=True)
class StageOneSharing:
    """How the trials of a scenario share stage one."""

    shares: bool
    """Whether trials fork from trunks; else each trains from scratch."""
    reason: str | None
    """Why they do not share, in one sentence; None when they do."""
    deciding: tuple[str, ...]
    """Searched parameters that decide stage one; where some have unlimited values, only those: they prevent sharing."""
    num_stage_ones: int | None
    """Number of distinct stage ones among all possible trials; None: unlimited."""
    expected_trunks: float
    """Expected number of distinct stage ones in a search, that of the control included."""
    fork_epochs: tuple[int, ...]
    """Epochs done after which trials may fork, rising: their switch epochs; without a stage two, all but the last."""
    mean_fork_epoch: float
    """Epochs that a trial has in common with its plain control, on average."""
    switch_epochs: tuple[int, ...]
    """Switch epochs of trials with a stage two, rising."""
    stage_two_share: float
    """Share of the trials that have a stage two."""

    @property
    def earliest_start(self) -> int:
        """Epochs done after which the earliest trial may fork or switch, where trials share stage one."""
        return min((*self.fork_epochs, *self.switch_epochs))


def stage_one_sharing(space: SearchSpace, scenario: Scenario, control: RunConfig) -> StageOneSharing:
    """Return whether and how the trials of a scenario share stage one.

    T independent trials, with probabilities p_k of K stage ones, are expected to have sum_k 1 - (1 - p_k)^T distinct
    ones, which is K (1 - (1 - 1 / K)^T) where all are equally likely; those of the control and of enqueued points are
    certain. Sharing pays when

        E[trunks] * epochs + T * (epochs - mean_fork_epoch) < (T + 1) * epochs,

    the cost of trunks and forks against that of trials and control from scratch.

    Args:
        space: the space, whose trials are those of the scenario.
        scenario: a scenario of the space.
        control: the plain control of the scenario.
    """
    runs = _KeyedRuns(space, scenario)
    found = _deciding(runs)
    mean_fork_epoch = sum(fork_epoch(run.config) for run in runs.at_boundary) / len(runs.at_boundary)
    continuous = tuple(name for name in space.search if name in found and num_values(space.search[name]) is None)
    stage_ones = None if continuous else _stage_ones(runs, found)
    expected = space.num_trials + 1.0 if stage_ones is None else _expected_trunks(runs, stage_ones, control)
    reason = _reason(space, continuous, expected, mean_fork_epoch)
    return StageOneSharing(
        shares=reason is None,
        reason=reason,
        deciding=continuous if stage_ones is None else stage_ones.deciding,
        num_stage_ones=None if stage_ones is None else stage_ones.num_keys,
        expected_trunks=expected,
        fork_epochs=_fork_epochs(runs),
        mean_fork_epoch=mean_fork_epoch,
        switch_epochs=_switch_epochs(runs),
        stage_two_share=sum(run.config.attention is not None for run in runs.at_boundary) / len(runs.at_boundary),
    )


class _KeyedRun(NamedTuple):
    values: dict[str, Scalar]
    config: RunConfig
    key: str


class _KeyedRuns:
    """The stage-one keys of a scenario's runs; those at the boundary of the space are computed at once."""

    def __init__(self, space: SearchSpace, scenario: Scenario) -> None:
        self.space, self.scenario = space, scenario
        self._keys: dict[tuple[tuple[str, Scalar], ...], str] = {}
        self.at_boundary: list[_KeyedRun] = []
        for values, settings in boundary_runs(space, scenario):
            config = RunConfig.from_dict(settings, f"scenario {scenario.name}")
            self.at_boundary.append(_KeyedRun(values, config, config.stage_one_key()))
            self._keys[tuple(values.items())] = self.at_boundary[-1].key

    @property
    def parents(self) -> set[str]:
        """Parameters that decide which others are active."""
        search = self.space.search
        return {parent for parameter in search.values() for parent in parameter.when if parent in search}

    def completed(self, values: Values) -> dict[str, Scalar]:
        """Return the values of all active parameters: the given ones, else the first choice or the low end."""
        search = self.space.search
        return active_values(self.space, self.scenario, lambda name: values.get(name, search[name].branches[0][0]))

    def key(self, values: Values) -> str:
        """Return the stage-one key of a run with these values."""
        given = tuple(values.items())
        if given not in self._keys:
            settings = run_settings(self.space, self.scenario, values)
            self._keys[given] = RunConfig.from_dict(settings, f"scenario {self.scenario.name}").stage_one_key()
        return self._keys[given]


def _deciding(runs: _KeyedRuns) -> set[str]:
    """Return the parameters that, varied alone, change stage one; those on which others depend are left out."""
    found: set[str] = set()
    pairs = zip(runs.at_boundary[::2], runs.at_boundary[1::2], strict=True)
    for low, high in pairs if covers_every_combination(runs.space.search) else itertools.islice(pairs, _MAX_CONTEXTS):
        for name in low.values.keys() - runs.parents - found:
            parameter = runs.space.search[name]
            if parameter.choices is None and low.key == high.key:
                continue
            others = (high.values[name],) if parameter.choices is None else parameter.choices
            if any(runs.key({**low.values, name: other}) != low.key for other in others):
                found.add(name)
    return found


class _StageOnes(NamedTuple):
    num_keys: int
    probability: dict[str, float]
    """Key -> probability that a uniformly drawn trial has it; empty where there are too many to list."""
    names: tuple[str, ...]
    """Parameters whose values determine the stage one of a run."""
    deciding: tuple[str, ...]


def _stage_ones(runs: _KeyedRuns, found: set[str]) -> _StageOnes:
    """Return the stage ones over all values of the parameters `found` and of those on which others depend."""
    search = runs.space.search
    names = tuple(name for name in search if name in found | runs.parents)
    sizes = [num_values(search[name]) or 0 for name in names]
    num_rows = math.prod(sizes)
    if num_rows > _MAX_COMBINATIONS:
        return _StageOnes(num_rows, {}, names, tuple(name for name in names if name in found))
    rows = {row: _key_of_row(runs, names, row) for row in itertools.product(*map(range, sizes))}
    probability: dict[str, float] = defaultdict(float)
    for key in rows.values():
        probability[key] += 1 / num_rows
    deciding = tuple(name for place, name in enumerate(names) if _changes(rows, place))
    return _StageOnes(len(probability), dict(probability), names, deciding)


def _key_of_row(runs: _KeyedRuns, names: Sequence[str], row: Sequence[int]) -> str:
    search = runs.space.search
    values = {name: value_at(search[name], index) for name, index in zip(names, row, strict=True)}
    return runs.key(runs.completed(values))


def _changes(rows: Mapping[tuple[int, ...], str], place: int) -> bool:
    """Whether any two rows that differ only at one position have different keys."""
    first: dict[tuple[int, ...], str] = {}
    return any(first.setdefault(row[:place] + row[place + 1 :], key) != key for row, key in rows.items())


def _expected_trunks(runs: _KeyedRuns, stage_ones: _StageOnes, control: RunConfig) -> float:
    known = list(_known_keys(runs, stage_ones.names))
    certain = {control.stage_one_key(), *known}
    draws = runs.space.num_trials - len(known)
    if not stage_ones.probability:
        return len(certain) + stage_ones.num_keys * _drawn_at_least_once(1 / stage_ones.num_keys, draws)
    others = (p for key, p in stage_ones.probability.items() if key not in certain)
    return len(certain) + sum(_drawn_at_least_once(p, draws) for p in others)


def _drawn_at_least_once(probability: float, draws: int) -> float:
    """Return 1 - (1 - p)^T, accurate for very small p."""
    return min(1.0, draws) if probability >= 1 else -math.expm1(draws * math.log1p(-probability))


def _known_keys(runs: _KeyedRuns, names: Sequence[str]) -> Iterator[str]:
    """Yield the key of each enqueued point that will be tried and gives every parameter that decides stage one."""
    for point in enqueued_points(runs.space).inside[: runs.space.num_trials]:
        drawn = runs.completed(point)
        if all(name in point for name in names if name in drawn):
            yield runs.key(drawn)


def _reason(space: SearchSpace, continuous: Sequence[str], expected: float, mean_fork_epoch: float) -> str | None:
    epochs, num_trials = space.epochs, space.num_trials
    if continuous:
        listed = " and ".join(f"`{name}`" for name in continuous)
        ranges, it = ("are ranges", "them") if len(continuous) > 1 else ("is a range", "it")
        return f"{listed} {ranges}, so each trial has its own stage one; give {it} as `choices` to share"
    if not mean_fork_epoch:
        return "every trial switches before its first epoch, so there is no stage one to share"
    if expected * epochs + num_trials * (epochs - mean_fork_epoch) < (num_trials + 1) * epochs:
        return None
    trials = plural(num_trials, "trial")
    return f"about {expected:.0f} different stage ones are expected in {trials}: training each to the end costs more"


def _fork_epochs(runs: _KeyedRuns) -> tuple[int, ...]:
    plain = {fork_epoch(run.config) for run in runs.at_boundary if run.config.attention is None}
    return tuple(sorted({*plain, *_switch_epochs(runs)} - {0}))


def _switch_epochs(runs: _KeyedRuns) -> tuple[int, ...]:
    switches: set[int] = set()
    for run in runs.at_boundary:
        if "switch_epoch" in run.values:
            switches.update(_thinned(runs.space.search["switch_epoch"]))
        elif run.config.attention is not None:
            switches.add(run.config.attention.switch_epoch)
    return tuple(sorted(switches))


def _thinned(switch_epoch: Parameter) -> Iterator[int]:
    """Yield the values of the parameter, the lowest first; evenly spaced ones where there are too many."""
    count = num_values(switch_epoch)
    assert count is not None, "a switch epoch is a whole number"
    for index in range(0, count, -(-count // _MAX_FORK_EPOCHS)):
        yield cast(int, value_at(switch_epoch, index))
