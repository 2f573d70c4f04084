"""What a trial of `absgd-tune` takes besides its epochs: asked, started, snapshot read, reported, ended.

    python benchmarks/search_cost_overhead.py [--trials 40] [--repeats 30]

A real search of forks that train one epoch each: `besides` is a trial's wall time without its training and validation,
from the driver's start of it to its end, so also what Ray takes to hand over a report and to end it; an upper bound.
The first trial of each worker process, which imports everything, is left out. Then the parts, alone in this process:
Optuna asked for a trial, a Trainer built, a snapshot read into it.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from search_cost_count import space_of

from absgd import records
from absgd.config import RunConfig
from absgd.datasets import fingerprint, load_splits
from absgd.training import Trainer
from absgd.yaml_text import dump_yaml
from tune_runs.plan import TrunkUse, fork_epoch
from tune_runs.space import SearchSpace
from tune_runs.trunk import begin, trunk_identity

TARGET_S = 0.3
COMMAND = "import sys; from tune_runs.cli import main; sys.argv[0] = 'absgd-tune'; main()"
RUN = "bench"


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


def search(space: SearchSpace, folder: Path) -> Path:
    """Run the command on a space; its run folder."""
    space_file = folder / "space.yaml"
    space_file.write_text(dump_yaml(space.to_dict()))
    arguments = ["--space", str(space_file), "--out", str(folder), "--name", RUN]
    subprocess.run([sys.executable, "-c", COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL)
    return folder / RUN


def epoch_seconds(epochs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds of training and validation by trial, in the epochs that it trained itself."""
    trained_s: dict[str, float] = defaultdict(float)
    for row in epochs:
        if not row["inherited"]:
            trained_s[row["trial_id"]] += row["train_s"] + row["val_s"]
    return trained_s


def besides_epochs(
    trials: Sequence[Mapping[str, Any]], epochs: Sequence[Mapping[str, Any]], num_workers: int
) -> list[float]:
    """Wall seconds of each search trial without its epochs, but for the first trials of the workers."""
    trained_s = epoch_seconds(epochs)
    warm = sorted(trials, key=lambda row: row["started_at"])[num_workers:]
    return [row["wall_s"] - trained_s[row["trial_id"]] for row in warm if row["phase"] == "search"]


def fork_parts(run: Path, config: RunConfig, repeats: int) -> tuple[Spread, Spread]:
    """Seconds of building a Trainer, and of reading a run's snapshot into it, as a warm worker does."""
    splits = load_splits(config)
    identity = trunk_identity(config, fingerprint(config, splits))
    at = fork_epoch(config)
    folder = next((run / "scenarios").glob("*/trunks/*"))
    built, read = [], []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        trainer = Trainer(config, splits)
        constructed = time.perf_counter()
        begun = begin(trainer, TrunkUse(str(folder), identity, at))
        read.append(time.perf_counter() - constructed)
        built.append(constructed - started)
        assert len(begun.rows) == at, begun.notes
    return Spread.of(built[1:]), Spread.of(read[1:])  # the first warms up


def ask_times(space: SearchSpace, asks: int) -> Spread:
    """Seconds of asking a study for a trial while it grows to `asks` finished ones."""
    from tune_runs.searcher import ScenarioStudy

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


def overhead(num_trials: int, repeats: int) -> Overhead:
    """Measure on this machine, all of its cores busy with trials."""
    space = space_of("short", num_trials)
    with tempfile.TemporaryDirectory() as folder:
        run = search(space, Path(folder))
        trials = records.read_rows(run / records.TRIALS_FILE, records.TRIAL_SCHEMA)
        epochs = records.read_rows(run / records.EPOCHS_FILE, records.EPOCH_SCHEMA)
        besides = Spread.of(besides_epochs(trials, epochs, len(os.sched_getaffinity(0))))
        config = records.config_of(next(row for row in trials if row["phase"] == "search"))
        build, read = fork_parts(run, config, repeats)
    return Overhead(besides, ask_times(space.model_copy(update={"enqueue": ()}), repeats), build, read)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    print("\n".join(overhead(options.trials, options.repeats).lines()))


if __name__ == "__main__":
    main()
