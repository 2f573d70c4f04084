"""Time and memory of loading the same trials from both folders, each load in its own process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.load_results.result_folders import write_ray_folder, write_run_folder

SIDES = ("ours", "ours on Ray's", "Ray")

_Loader = tuple[Callable[[str], Any], Callable[[Any], int]]
"""A function that loads a folder, and one that returns the bytes of the loaded frames."""


def load_once(side: str, folder: Path) -> dict[str, float]:
    """Return wall and processor seconds of one load in this process, and its memory in MiB."""
    load, size = _ray_loader() if side == "Ray" else _our_loader()
    before = _reset_peak()
    started, cpu = time.perf_counter(), time.process_time()
    loaded = load(str(folder))
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    peak = _status_kib("VmHWM") - before
    return {"load_s": seconds, "cpu_s": cpu_s, "peak_mib": peak / 1024, "frames_mib": size(loaded) / 2**20}


def _reset_peak() -> int:
    """Reset the process's largest resident size, since a fork inherits its parent's; return the present size in KiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status_kib("VmRSS")


def _status_kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)))


def _our_loader() -> _Loader:
    from analysis import load  # not counted: imports before the clock starts

    def size(runs: Any) -> int:
        return int(sum(frame.memory_usage(deep=True).sum() for frame in (runs.trials, runs.epochs)))

    return load, size


def _ray_loader() -> _Loader:
    from ray.tune import ExperimentAnalysis  # as above

    def size(analysis: Any) -> int:
        return int(sum(frame.memory_usage(deep=True).sum() for frame in analysis.trial_dataframes.values()))

    return ExperimentAnalysis, size


def load_in_process(side: str, folder: Path) -> dict[str, float]:
    """Run `load_once` in its own process."""
    words = [sys.executable, "-m", "benchmarks.load_results", "--side", side, "--folder", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def median_and_range(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the smallest and the largest value."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def measure_loads(folder: Path, trials: int, epochs: int, rounds: int) -> dict[str, Any]:
    """Load every side once per round, then ours with fewer trials for its memory; return the report.

    Args:
        folder: for the files to load.
        trials: number of trials.
        epochs: epochs of each.
        rounds: rounds that count; one more warms up.
    """
    ours = write_run_folder(folder / "ours", trials, epochs)
    rays = write_ray_folder(folder / "rays", trials, epochs)
    places = {"ours": ours, "ours on Ray's": rays, "Ray": rays}
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for round_ in range(rounds + 1):
        for side in SIDES:
            found = load_in_process(side, places[side])
            print(f"round {round_}: {side} {found['load_s']:.2f} s", file=sys.stderr, flush=True)
            runs[side] += [found] if round_ else []
    sides = {side: {key: median_and_range([run[key] for run in own]) for key in own[0]} for side, own in runs.items()}
    pairs = list(zip(runs["ours"], runs["Ray"], strict=True))
    ratios = {key: median_and_range([other[key] / our[key] for our, other in pairs]) for key in ("load_s", "cpu_s")}
    memory = _memory_by_trials(folder, trials, epochs)
    memory.append({"trials": trials, **{key: sides["ours"][key]["median"] for key in ("peak_mib", "frames_mib")}})
    sizes = {name: _folder_mib(path) for name, path in (("ours", ours), ("Ray", rays))}
    return {"trials": trials, "epochs": epochs, "sides": sides, "ratio": ratios, "memory": memory, "disk_mib": sizes}


def _memory_by_trials(folder: Path, trials: int, epochs: int) -> list[dict[str, float]]:
    """Return the memory of our load for a quarter and a half of the trials."""
    memory: list[dict[str, float]] = []
    for part in sorted({max(1, trials // 4), max(1, trials // 2)}):
        found = load_in_process("ours", write_run_folder(folder / f"ours-{part}", part, epochs))
        memory.append({"trials": part, "peak_mib": found["peak_mib"], "frames_mib": found["frames_mib"]})
    return memory


def _folder_mib(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20
