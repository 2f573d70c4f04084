"""Both sides of `benchmarks/search_cost.py` and the bare loop that they are held against, each run once.

Imported, not run.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import search_cost_count as counting
from early_stopping_curves import configs
from search_cost_overhead import besides_epochs, epoch_seconds, search

from absgd import records
from absgd.config import RunConfig
from absgd.datasets import load_splits
from absgd.records import METRICS
from absgd.training import Trainer
from tune_runs.space import SearchSpace

PLAIN = Path(__file__).parent / "search_cost_plain.py"
CORES = len(os.sched_getaffinity(0))
BARE_EPOCHS, BARE_SWITCH = 20, 4


@dataclasses.dataclass(frozen=True)
class Case:
    """One search, done both ways."""

    switch: str
    is_stopping: bool
    num_trials: int
    num_scenarios: int

    def __str__(self) -> str:
        many = f" x {self.num_scenarios} scenarios" if self.num_scenarios > 1 else ""
        return f"{self.num_trials} trials{many}, switch {self.switch}, stopping {'on' if self.is_stopping else 'off'}"

    @property
    def num_runs(self) -> int:
        """Configurations tried, over all scenarios."""
        return self.num_trials * self.num_scenarios

    def space(self) -> SearchSpace:
        """What is searched, its trials enqueued."""
        return counting.space_of(self.switch, self.num_trials, self.num_scenarios, self.is_stopping)


Curves = Mapping[tuple[str, int], Sequence[tuple[float | None, ...]]]
"""(scenario, number of the configuration) -> validation metrics of every epoch, those of the trunk included."""


@dataclasses.dataclass(frozen=True)
class Chain:
    """Epochs of a scenario in the order in which they can train."""

    control: int
    forks: tuple[tuple[int, int], ...]
    """Of each trial: epochs of its trunk that come first, and its own."""

    @property
    def epochs(self) -> int:
        """Of control and forks together."""
        return self.control + sum(own for _, own in self.forks)


@dataclasses.dataclass(frozen=True)
class Plain:
    """A run of the plain script."""

    wall_s: float
    curves: Curves

    @property
    def epochs(self) -> int:
        """Trained."""
        return sum(map(len, self.curves.values()))


@dataclasses.dataclass(frozen=True)
class Ours:
    """A run of the command."""

    wall_s: float
    curves: Curves
    chains: Mapping[str, Chain]
    """By scenario."""
    epochs_s: float
    """All epochs together, as they took in the run."""
    besides_s: tuple[float, ...]
    """What trials took besides their epochs."""
    start_s: float
    """From the start of the process until its first trial is handed to Ray."""
    worker_s: float
    """Of the first trial besides its epochs: Ray starts a worker, which imports everything."""
    end_s: float
    """From the end of the last trial to that of the process."""

    @property
    def epochs(self) -> int:
        """Trained, controls included."""
        return sum(chain.epochs for chain in self.chains.values())


def critical_path(chains: Sequence[Chain], cores: int) -> float:
    """Epochs one after another, at least, of any schedule on so many cores.

    Either the longest chain: a control, or a trunk and a fork behind it. Or all epochs on all cores, where until the
    first fork only trunks can train.

    >>> critical_path([Chain(60, ((40, 20), (40, 20)))], cores=2)  # 40 alone, then 60 on two cores
    70.0
    """
    longest = max(max(chain.control, *map(sum, chain.forks)) for chain in chains)
    alone = min(min(trunk for trunk, _ in chain.forks) for chain in chains)
    return max(longest, alone + (sum(chain.epochs for chain in chains) - alone * min(len(chains), cores)) / cores)


def plain_search(space: SearchSpace) -> Plain:
    """Run the plain script."""
    scenarios = {scenario.name: [run.to_dict() for run in configs(space, scenario)] for scenario in space.scenario_list}
    job = {
        "metric": space.metric,
        "grace_period": counting.first_rung(space) if space.early_stopping else None,
        "reduction_factor": counting.PLAIN_FACTOR,
        "scenarios": scenarios,
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder) / "job.json", Path(folder) / "result.json"
        paths[0].write_text(json.dumps(job))
        started = time.perf_counter()
        subprocess.run([sys.executable, str(PLAIN), *map(str, paths)], check=True, stdout=subprocess.DEVNULL)
        wall_s = time.perf_counter() - started
        return Plain(wall_s, _curves(json.loads(paths[1].read_text())))


def our_search(space: SearchSpace) -> Ours:
    """Run the command and read what it recorded."""
    with tempfile.TemporaryDirectory() as folder:
        began, started = time.time(), time.perf_counter()
        run = search(space, Path(folder))
        wall_s = time.perf_counter() - started
        trials = records.read_rows(run / records.TRIALS_FILE, records.TRIAL_SCHEMA)
        epochs = records.read_rows(run / records.EPOCHS_FILE, records.EPOCH_SCHEMA)
    searched = {row["trial_id"]: row for row in trials if row["phase"] == "search"}
    for scenario in space.scenario_list:
        asked = {row["number"]: records.config_of(row) for row in searched.values() if row["scenario"] == scenario.name}
        assert asked == dict(enumerate(configs(space, scenario))), "both sides try the same configurations"
    own = [{**row, "number": searched[row["trial_id"]]["number"]} for row in epochs if row["trial_id"] in searched]
    ended = max(row["started_at"].timestamp() + row["wall_s"] for row in trials)
    first = min(trials, key=lambda row: row["started_at"])
    trained_s = epoch_seconds(epochs)
    return Ours(
        wall_s=wall_s,
        curves=_curves(own),
        chains={scenario.name: _chain(trials, scenario.name) for scenario in space.scenario_list},
        epochs_s=sum(trained_s.values()),
        besides_s=tuple(besides_epochs(trials, epochs, CORES)),
        start_s=first["started_at"].timestamp() - began,
        worker_s=first["wall_s"] - trained_s[first["trial_id"]],
        end_s=began + wall_s - ended,
    )


def _chain(trials: Sequence[Mapping[str, Any]], scenario: str) -> Chain:
    rows = [row for row in trials if row["scenario"] == scenario]
    control = next(row["epochs_trained"] for row in rows if row["phase"] == "control")
    forks = [(row["epochs_inherited"], row["epochs_trained"]) for row in rows if row["phase"] == "search"]
    return Chain(control, tuple(forks))


def _curves(rows: Sequence[Mapping[str, Any]]) -> Curves:
    curves: dict[tuple[str, int], list[tuple[float | None, ...]]] = {}
    for row in rows:
        curve = curves.setdefault((row["scenario"], row["number"]), [])
        assert row["epoch"] == len(curve), "epochs in order"
        curve.append(tuple(row[metric] for metric in METRICS))
    return curves


class BareLoop:
    """Trainer with nothing around it, one on each core at the same time."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self._pool = ProcessPoolExecutor(CORES, context, _set_barrier, (context.Barrier(CORES),))

    def epoch_s(self, config: RunConfig) -> float:
        """Seconds of an epoch, mostly of stage two; mean over cores."""
        run = config.with_values({"epochs": BARE_EPOCHS, "attention.switch_epoch": BARE_SWITCH})
        return statistics.fmean(self._pool.map(_bare_epoch_s, [run.to_dict()] * CORES))


_barrier: Barrier


def _set_barrier(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _bare_epoch_s(run: dict[str, Any]) -> float:
    config = RunConfig.from_dict(run)
    epochs = Trainer(config, load_splits(config)).epochs()
    warm = sum(1 for _ in itertools.islice(epochs, 2))
    _barrier.wait()
    started = time.perf_counter()
    trained = sum(1 for _ in epochs)
    assert warm + trained == config.epochs, "it did not diverge"
    return (time.perf_counter() - started) / trained
