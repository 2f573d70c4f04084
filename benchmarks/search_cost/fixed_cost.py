"""The fixed cost of a trial of `absgd-tune` besides its epochs: ask, start, read the snapshot, report, end.

    python -m benchmarks.search_cost --cases --count [--forks 40]

A real search of forks that train one epoch each: `besides` is a trial's wall time without its training and validation,
from the moment the driver starts it to its end. It includes the time in which Ray delivers a report and ends the trial,
so it is an upper bound. The first trial of each worker process, which imports everything, is left out. Then the parts,
alone in this process: asking Optuna for a trial, building a Trainer, reading a snapshot into it.
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
from benchmarks.harness.command_line import CORES
from benchmarks.search_cost.search_cases import search_cost_space
from benchmarks.search_cost.search_runs import read_run, run_command, seconds_besides_epochs
from tune_runs.driver.study import ScenarioStudy
from tune_runs.space.model import SearchSpace
from tune_runs.trial.trial_run import TrialRun
from tune_runs.trunks.trunk_use import TrunkUse, fork_epoch

TARGET_S = 0.3
LEAST_FORKS = max(3, CORES + 2)
"""Enough forks that at least two start in a warm worker."""


@dataclasses.dataclass(frozen=True)
class SecondsSpread:
    """Distribution of several measured durations, in seconds."""

    median: float
    low: float
    """Lower quartile."""
    high: float
    """Upper quartile."""
    largest: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> SecondsSpread:
        """Summarise at least two values."""
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high, max(values), len(values))

    def __str__(self) -> str:
        return (
            f"median {self.median:.3f} s, quartiles {self.low:.3f} to {self.high:.3f}, "
            f"largest {self.largest:.3f} ({self.count} times)"
        )


@dataclasses.dataclass(frozen=True)
class TrialOverhead:
    """Duration of a trial besides its epochs, and of its parts."""

    besides: SecondsSpread
    ask: SecondsSpread
    build: SecondsSpread
    read: SecondsSpread

    @property
    def total_s(self) -> float:
        """Median seconds of asking for a trial, and of everything besides its epochs."""
        return self.ask.median + self.besides.median

    def lines(self) -> Iterator[str]:
        """Format the measurement as lines of text."""
        yield f"besides its epochs: {self.besides}"
        yield f"asked: {self.ask}"
        yield f"of it, Trainer built: {self.build}"
        yield f"of it, snapshot read: {self.read}"
        verdict = "met" if self.total_s <= TARGET_S else "missed"
        yield f"a trial's fixed cost {self.total_s:.3f} s (asked + besides); target {TARGET_S} s: {verdict}"


def measure_overhead(num_forks: int) -> TrialOverhead:
    """Measure `num_forks` forks, and each part as often, with all cores of this machine busy with trials."""
    space = search_cost_space("forks", num_forks)
    with tempfile.TemporaryDirectory() as folder:
        run = run_command(space, Path(folder))
        trials, epochs = read_run(run)
        besides = SecondsSpread.of(seconds_besides_epochs(trials, epochs, CORES))
        config = records.config_of(next(row for row in trials if row["phase"] == "search"))
        build, read = fork_parts(run, config, num_forks)
    return TrialOverhead(besides, ask_times(space.model_copy(update={"enqueue": ()}), num_forks), build, read)


def fork_parts(run: Path, config: RunConfig, repeats: int) -> tuple[SecondsSpread, SecondsSpread]:
    """Measure how long a warm worker builds a Trainer, and reads a run's snapshot into it."""
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
    return SecondsSpread.of(built[1:]), SecondsSpread.of(read[1:])  # the first warms up


def ask_times(space: SearchSpace, asks: int) -> SecondsSpread:
    """Measure how long asking a study for a trial takes while it grows to `asks` finished trials."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        study = ScenarioStudy(space, space.scenario_list[0], Path(folder))
        for number in range(asks):
            started = time.perf_counter()
            plan = study.ask()
            times.append(time.perf_counter() - started)
            study.report(plan.trial_id, space.epochs - 1, number / asks)
            study.tell(plan.trial_id, "completed", (number / asks,))
    return SecondsSpread.of(times[1:])
