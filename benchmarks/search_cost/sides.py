"""Both sides of a case, each run once in a new process: the plain script, and the command `absgd-tune`."""

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
from benchmarks.command_line import CORES
from benchmarks.peers import Clock, asha
from benchmarks.search_cost.plain_script import Job
from benchmarks.train_curves import random_configs
from tune_runs.space.model import SearchSpace

PLAIN_SCRIPT = "benchmarks.search_cost.plain_script"
COMMAND = "import sys; from tune_runs.cli import main; sys.argv[0] = 'absgd-tune'; main()"
RUN = "bench"

Row = Mapping[str, Any]
Curves = Mapping[tuple[str, int], Sequence[tuple[float | None, ...]]]
"""(scenario, number of the configuration) -> validation metrics of every epoch, those of the trunk included."""


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


def run_plain(space: SearchSpace, clock: Clock | None) -> Plain:
    """Run the plain script; None: without stopping."""
    scenarios = {
        scenario.name: [run.to_dict() for run in random_configs(space, scenario)] for scenario in space.scenario_list
    }
    told = dataclasses.asdict(asha(space, clock)) if clock else None
    job: Job = {"metric": space.metric, "asha": told, "scenarios": scenarios}
    with tempfile.TemporaryDirectory() as folder:
        asked, found = Path(folder) / "job.json", Path(folder) / "result.json"
        asked.write_text(json.dumps(job))
        started = time.perf_counter()
        command = [sys.executable, "-m", PLAIN_SCRIPT, str(asked), str(found)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall_s = time.perf_counter() - started
        return Plain(wall_s, curves_of(json.loads(found.read_text())))


def run_command(space: SearchSpace, folder: Path) -> Path:
    """Run the command on a space; its run folder."""
    space_file = folder / "space.yaml"
    space_file.write_text(dump_yaml(space.to_dict()))
    arguments = ["--space", str(space_file), "--out", str(folder), "--name", RUN]
    subprocess.run([sys.executable, "-c", COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL)
    return folder / RUN


def recorded(run: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of a run's trials and epochs."""
    return (
        records.read_rows(run / records.TRIALS_FILE, records.TRIAL_SCHEMA),
        records.read_rows(run / records.EPOCHS_FILE, records.EPOCH_SCHEMA),
    )


def run_ours(space: SearchSpace) -> Ours:
    """Run the command and read what it recorded."""
    with tempfile.TemporaryDirectory() as folder:
        began, started = time.time(), time.perf_counter()
        run = run_command(space, Path(folder))
        wall_s = time.perf_counter() - started
        trials, epochs = recorded(run)
    numbers = {row["trial_id"]: row["number"] for row in trials if row["phase"] == "search"}
    for scenario in space.scenario_list:
        own = [row for row in trials if row["scenario"] == scenario.name and row["phase"] == "search"]
        asked = {row["number"]: records.config_of(row) for row in own}
        assert asked == dict(enumerate(random_configs(space, scenario))), "both sides try the same configurations"
    first = min(trials, key=lambda row: row["started_at"])
    trained_s = epoch_seconds(epochs)
    return Ours(
        wall_s=wall_s,
        curves=curves_of([{**row, "number": numbers[row["trial_id"]]} for row in epochs if row["trial_id"] in numbers]),
        chains={scenario.name: chain_of(trials, scenario.name) for scenario in space.scenario_list},
        epochs_s=sum(trained_s.values()),
        besides_s=tuple(besides_epochs(trials, epochs, CORES)),
        start_s=first["started_at"].timestamp() - began,
        worker_s=first["wall_s"] - trained_s[first["trial_id"]],
        end_s=began + wall_s - max(row["started_at"].timestamp() + row["wall_s"] for row in trials),
    )


def chain_of(trials: Sequence[Row], scenario: str) -> Chain:
    """The epochs of a scenario, from its trial rows."""
    rows = [row for row in trials if row["scenario"] == scenario]
    control = next(row["epochs_trained"] for row in rows if row["phase"] == "control")
    forks = [(row["epochs_inherited"], row["epochs_trained"]) for row in rows if row["phase"] == "search"]
    return Chain(control, tuple(forks))


def curves_of(rows: Sequence[Row]) -> Curves:
    """The curves of rows that each have scenario, number, epoch and metrics, a trial's in the order of its epochs."""
    curves: dict[tuple[str, int], list[tuple[float | None, ...]]] = {}
    for row in rows:
        curve = curves.setdefault((row["scenario"], row["number"]), [])
        assert row["epoch"] == len(curve), "epochs in order"
        curve.append(tuple(row[metric] for metric in METRICS))
    return curves


def epoch_seconds(epochs: Sequence[Row]) -> dict[str, float]:
    """Seconds of training and validation by trial, in the epochs that it trained itself."""
    trained_s: dict[str, float] = defaultdict(float)
    for row in epochs:
        if not row["inherited"]:
            trained_s[row["trial_id"]] += row["train_s"] + row["val_s"]
    return trained_s


def besides_epochs(trials: Sequence[Row], epochs: Sequence[Row], num_workers: int) -> list[float]:
    """Wall seconds of each search trial without its epochs, but for the first trials of the workers."""
    trained_s = epoch_seconds(epochs)
    warm = sorted(trials, key=lambda row: row["started_at"])[num_workers:]
    return [row["wall_s"] - trained_s[row["trial_id"]] for row in warm if row["phase"] == "search"]
