"""Wall time of `absgd-tune` on a space, against the same epochs trained by a bare loop.

    python benchmarks/search_wall.py [--space quickstart] [--runs 3] [--json FILE]

Each run starts the command in a new process (imports, Ray and its workers included), then trains every trial's
epochs again in this process by Trainer alone, one after another with a trial's threads. `ratio` is the command's
wall time over the bare loop's divided by the trials that run at once: 1 would be a search without any overhead.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from absgd import records
from absgd.datasets import load_splits
from absgd.environment import describe_environment
from absgd.training import Trainer, gpu_names
from tune_runs.space_files import load_space

COMMAND = "import sys; from tune_runs.cli import main; sys.argv[0] = 'absgd-tune'; main()"


def search(space: str, folder: Path) -> tuple[float, list[dict[str, Any]]]:
    """Wall seconds of the command, and its trial rows."""
    started = time.perf_counter()
    arguments = ["--space", space, "--out", str(folder), "--name", "bench"]
    subprocess.run([sys.executable, "-c", COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started, records.read_rows(
        folder / "bench" / records.TRIALS_FILE, records.TRIAL_SCHEMA
    )


def bare_loop(rows: list[dict[str, Any]]) -> float:
    """Seconds of training the same epochs with nothing around them."""
    configs = [records.config_of(row) for row in rows]
    splits = {row["split_hash"]: load_splits(config) for row, config in zip(rows, configs, strict=True)}
    started = time.perf_counter()
    for row, config in zip(rows, configs, strict=True):
        trainer = Trainer(config, splits[row["split_hash"]])
        trained = [record.epoch for record in itertools.islice(trainer.epochs(), row["epochs_trained"])]
        assert len(trained) == row["epochs_trained"]
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="quickstart")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    concurrent = load_space(options.space).resources.concurrent(len(os.sched_getaffinity(0)), len(gpu_names()))
    runs = []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory() as folder:
            wall_s, rows = search(options.space, Path(folder))
        bare_s = bare_loop(rows)
        ideal_s = bare_s / concurrent
        epochs = sum(row["epochs_trained"] for row in rows)
        runs.append({"wall_s": wall_s, "bare_s": bare_s, "epochs": epochs, "ratio": wall_s / ideal_s})
        print(", ".join(f"{name} {value:.2f}" for name, value in runs[-1].items()), flush=True)
    summary = {
        name: {"median": statistics.median(run[name] for run in runs), "all": [run[name] for run in runs]}
        for name in ("wall_s", "bare_s", "ratio")
    }
    for name, value in summary.items():
        print(f"{name}: median {value['median']:.2f}, from {min(value['all']):.2f} to {max(value['all']):.2f}")
    report = {
        "space": options.space,
        "summary": summary,
        "runs": runs,
        "environment": describe_environment(gpu_names()),
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
