"""One run of either side of a case in a new process: the plain script, and the command `absgd-tune`."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absgd import records
from absgd.records import METRICS
from absgd.yaml_text import dump_yaml
from benchmarks.complete_curves.curve_training import random_configs
from benchmarks.complete_curves.plain_asha import AshaClock, asha_settings
from benchmarks.harness.command_line import CORES
from benchmarks.search_cost.plain_script import PlainJob
from tune_runs.space.model import SearchSpace

PLAIN_SCRIPT = "benchmarks.search_cost.plain_script"
RUN = "bench"
ONE_CPU: Mapping[str, float] = {"cpu": 1.0}
"""Resources of a trial, by Ray's default."""

RecordRow = Mapping[str, Any]
MetricCurves = Mapping[tuple[str, int], Sequence[tuple[float | None, ...]]]
"""(scenario, number of the configuration) -> validation metrics of every epoch, the trunk's included."""


@dataclasses.dataclass(frozen=True)
class PlainRun:
    """One run of the plain script."""

    wall_s: float
    curves: MetricCurves

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return sum(map(len, self.curves.values()))


@dataclasses.dataclass(frozen=True)
class EpochChain:
    """Epochs of a scenario, by what has to be trained before them."""

    control: int
    """Epochs of the plain control."""
    forks: tuple[tuple[int, int], ...]
    """Epochs of the trunk and of its own for each trial."""

    @property
    def epochs(self) -> int:
        """Epochs of control and forks together."""
        return self.control + sum(own for _, own in self.forks)


@dataclasses.dataclass(frozen=True)
class CommandRun:
    """One run of the command."""

    wall_s: float
    curves: MetricCurves
    chains: Mapping[str, EpochChain]
    """Epochs of each scenario."""
    epochs_s: float
    """Duration of all epochs together, in the run."""
    besides_s: tuple[float, ...]
    """Duration of trials without their epochs."""
    start_s: float
    """Time from the start of the process until its first trial is handed to Ray."""
    worker_s: float
    """Duration of the first trial without its epochs; contains what its worker still imports."""
    end_s: float
    """Time from the end of the last trial to the end of the process."""

    @property
    def epochs(self) -> int:
        """Epochs trained, controls included."""
        return sum(chain.epochs for chain in self.chains.values())


def run_plain(space: SearchSpace, clock: AshaClock | None, resources: Mapping[str, float] = ONE_CPU) -> PlainRun:
    """Run the plain script; a clock of None stands for no stopping."""
    scenarios = {
        scenario.name: [run.to_dict() for run in random_configs(space, scenario)] for scenario in space.scenario_list
    }
    settings = dataclasses.asdict(asha_settings(space, clock)) if clock else None
    job: PlainJob = {
        "metric": space.objective.first,
        "asha": settings,
        "resources": dict(resources),
        "scenarios": scenarios,
    }
    with tempfile.TemporaryDirectory() as folder:
        job_file, result_file = Path(folder) / "job.json", Path(folder) / "result.json"
        job_file.write_text(json.dumps(job))
        started = time.perf_counter()
        command = [sys.executable, "-m", PLAIN_SCRIPT, str(job_file), str(result_file)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall_s = time.perf_counter() - started
        return PlainRun(wall_s, curves_of(json.loads(result_file.read_text())))


def run_command(space: SearchSpace, folder: Path) -> Path:
    """Run the command on a space; return its run folder."""
    space_file = folder / "space.yaml"
    space_file.write_text(dump_yaml(space.to_dict()))
    arguments = ["--space", str(space_file), "--out", str(folder), "--name", RUN]
    subprocess.run([sys.executable, "-m", "tune_runs", *arguments], check=True, stdout=subprocess.DEVNULL)
    return folder / RUN


def read_run(run: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Read the rows of a run's trials and epochs."""
    return (
        records.read_rows(run / records.TRIALS_FILE, records.TRIAL_SCHEMA),
        records.read_rows(run / records.EPOCHS_FILE, records.EPOCH_SCHEMA),
    )


def run_ours(space: SearchSpace) -> CommandRun:
    """Run the command and read its records."""
    with tempfile.TemporaryDirectory() as folder:
        began, started = time.time(), time.perf_counter()
        run = run_command(space, Path(folder))
        wall_s = time.perf_counter() - started
        trials, epochs = read_run(run)
    numbers = {row["trial_id"]: row["number"] for row in trials if row["phase"] == "search"}
    for scenario in space.scenario_list:
        own = [row for row in trials if row["scenario"] == scenario.name and row["phase"] == "search"]
        asked = {row["number"]: records.config_of(row) for row in own}
        wanted = enumerate(run.resolved() for run in random_configs(space, scenario))
        assert asked == dict(wanted), "both sides try the same configurations"
    first = min(trials, key=lambda row: row["started_at"])
    trained_s = epoch_seconds(epochs)
    return CommandRun(
        wall_s=wall_s,
        curves=curves_of([{**row, "number": numbers[row["trial_id"]]} for row in epochs if row["trial_id"] in numbers]),
        chains={scenario.name: chain_of(trials, scenario.name) for scenario in space.scenario_list},
        epochs_s=sum(trained_s.values()),
        besides_s=tuple(seconds_besides_epochs(trials, epochs, CORES)),
        start_s=first["started_at"].timestamp() - began,
        worker_s=first["wall_s"] - trained_s[first["trial_id"]],
        end_s=began + wall_s - max(row["started_at"].timestamp() + row["wall_s"] for row in trials),
    )


def chain_of(trials: Sequence[RecordRow], scenario: str) -> EpochChain:
    """Read the epochs of a scenario from its trial rows."""
    rows = [row for row in trials if row["scenario"] == scenario]
    control = next(row["epochs_trained"] for row in rows if row["phase"] == "control")
    forks = [(row["epochs_inherited"], row["epochs_trained"]) for row in rows if row["phase"] == "search"]
    return EpochChain(control, tuple(forks))


def curves_of(rows: Sequence[RecordRow]) -> MetricCurves:
    """Collect curves from rows with scenario, number, epoch and metrics, each trial's in order of epoch."""
    curves: dict[tuple[str, int], list[tuple[float | None, ...]]] = {}
    for row in rows:
        curve = curves.setdefault((row["scenario"], row["number"]), [])
        assert row["epoch"] == len(curve), "epochs in order"
        curve.append(tuple(row[metric] for metric in METRICS))
    return curves


def epoch_seconds(epochs: Sequence[RecordRow]) -> dict[str, float]:
    """Return seconds of training and validation by trial, in the epochs that it trained itself."""
    trained_s: dict[str, float] = defaultdict(float)
    for row in epochs:
        if not row[records.INHERITED]:
            trained_s[row["trial_id"]] += row["train_s"] + row["val_s"]
    return trained_s


def seconds_besides_epochs(trials: Sequence[RecordRow], epochs: Sequence[RecordRow], num_workers: int) -> list[float]:
    """Return wall seconds of each search trial without its epochs, except the first trial of each worker."""
    trained_s = epoch_seconds(epochs)
    warm = sorted(trials, key=lambda row: row["started_at"])[num_workers:]
    return [row["wall_s"] - trained_s[row["trial_id"]] for row in warm if row["phase"] == "search"]
