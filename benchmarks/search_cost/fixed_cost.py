"""What a trial of `absgd-tune` takes besides its epochs: asked, started, snapshot read, reported, ended.

    python -m benchmarks.search_cost --cases --count [--forks 40]

A real search of forks that train one epoch each: `besides` is a trial's wall time without its training and validation,
from the driver's start of it to its end, so also what Ray takes to hand over a report and to end it; an upper bound.
The first trial of each worker process, which imports everything, is left out. Then the parts, alone in this process:
Optuna asked for a trial, a Trainer built, a snapshot read into it.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from absgd import records
from absgd.config import RunConfig
from absgd.datasets import fingerprint, load_splits
from absgd.training import Trainer
from benchmarks.command_line import CORES
from benchmarks.search_cost.cases import space_of
from benchmarks.search_cost.sides import besides_epochs, recorded, run_command
from tune_runs.driver.study import ScenarioStudy
from tune_runs.space.model import SearchSpace
from tune_runs.trial.trial_run import TrialRun
from tune_runs.trunks.use import TrunkUse, fork_epoch

TARGET_S = 0.3
LEAST_FORKS = max(3, CORES + 2)
"""Two of them at least start in a warm worker."""


@dataclasses.dataclass(frozen=True)
class Spread:
    """Of several measured values."""

    median: float
    low: float
    high: float
    """Of the quartiles."""
    largest: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """At least two values."""
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high, max(values), len(values))

    def __str__(self) -> str:
        return (
            f"median {self.median:.3f} s, quartiles {self.low:.3f} to {self.high:.3f}, "
            f"largest {self.largest:.3f} ({self.count} times)"
        )


@dataclasses.dataclass(frozen=True)
class Overhead:
    """What a trial takes besides its epochs."""

    besides: Spread
    ask: Spread
    build: Spread
    read: Spread

    @property
    def total_s(self) -> float:
        """Asked, and everything besides the epochs."""
        return self.ask.median + self.besides.median

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"besides its epochs: {self.besides}"
        yield f"asked: {self.ask}"
        yield f"of it, Trainer built: {self.build}"
        yield f"of it, snapshot read: {self.read}"
        verdict = "met" if self.total_s <= TARGET_S else "missed"
        yield f"a trial's fixed cost {self.total_s:.3f} s (asked + besides); target {TARGET_S} s: {verdict}"


def overhead(num_forks: int) -> Overhead:
    """Measure so many forks, and each part as often, on this machine, all of its cores busy with trials."""
    space = space_of("forks", num_forks)
    with tempfile.TemporaryDirectory() as folder:
        run = run_command(space, Path(folder))
        trials, epochs = recorded(run)
        besides = Spread.of(besides_epochs(trials, epochs, CORES))
        config = records.config_of(next(row for row in trials if row["phase"] == "search"))
        build, read = fork_parts(run, config, num_forks)
    return Overhead(besides, ask_times(space.model_copy(update={"enqueue": ()}), num_forks), build, read)


def fork_parts(run: Path, config: RunConfig, repeats: int) -> tuple[Spread, Spread]:
    """Seconds of building a Trainer, and of reading a run's snapshot into it, as a warm worker does."""
    splits = load_splits(config)
    (folder,) = (run / "scenarios").glob("*/trunks")
    use = TrunkUse(str(folder), config.stage_one_key(), fingerprint(splits, config.model.weights), fork_epoch(config))
    built, read = [], []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        trainer = Trainer(config, splits)
        constructed = time.perf_counter()
        begun = TrialRun(trainer, use).begin()
        read.append(time.perf_counter() - constructed)
        built.append(constructed - started)
        assert len(begun.earlier) == use.start_at, begun.notes
    return Spread.of(built[1:]), Spread.of(read[1:])  # the first warms up


def ask_times(space: SearchSpace, asks: int) -> Spread:
    """Seconds of asking a study for a trial while it grows to `asks` finished ones."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        study = ScenarioStudy(space, space.scenario_list[0], Path(folder))
        for number in range(asks):
            started = time.perf_counter()
            plan = study.ask()
            times.append(time.perf_counter() - started)
            study.report(plan.trial_id, space.epochs - 1, number / asks)
            study.tell(plan.trial_id, "completed", number / asks)
    return Spread.of(times[1:])
