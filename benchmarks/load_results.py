"""Loading a thousand trials: `analysis.load` against `ray.tune.ExperimentAnalysis` on the same content.

    python -m benchmarks.load_results [--trials 1000] [--epochs 200] [--rounds 5] [--json FILE]

The same trials, ten classes, lie in a run folder of absgd-tune (parquet) and in an experiment folder as Ray Tune leaves
it (params.json and result.json of each trial, experiment_state.json, written with Ray's own classes). Sides:

- ours: `analysis.load` of the run folder;
- ours on Ray's: `analysis.load` of the experiment folder;
- Ray: `ray.tune.ExperimentAnalysis` of the experiment folder, which leaves a frame for each trial.

Each load has a process of its own, the sides take turns, and imports are not counted; the files are in the page cache
after the first round, which is left out. Processor time, of all threads together, is what other work on the machine
disturbs least. `peak` is how much the process's largest resident size grows in the load, on Linux, and `frames` what
pandas says that the two frames hold; both are also taken for a quarter and a half of the trials.

Exit status: 1 if the median of ours is not under 1 s (for 1,000 trials of 200 epochs), or memory grows faster than the
frames; else 0.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absgd import records
from absgd.config import RunConfig
from benchmarks.command_line import at_least, command_parser, environment

NUM_CLASSES = 10
SWITCH = 0.8
TARGET_S = 1.0
MAX_PEAK_PER_FRAME = 6.0
SIDES = ("ours", "ours on Ray's", "Ray")


def trial_rows(number: int, epochs: int) -> tuple[dict[str, Any], list[dict[str, Any]], RunConfig]:
    """One trial as the recorder keeps it: its row, its epochs and its configuration."""
    source = random.Random(number)
    switch = int(SWITCH * epochs)
    attention = {"lam": source.uniform(0.5, 50), "gamma": source.uniform(0.1, 1), "ab_alpha": source.uniform(0.1, 1)}
    settings = {"data": {"name": "digits"}, "imbalance": {"type": "exp", "ratio": 0.05}, "loss": {"name": "abce"}}
    config = RunConfig.from_dict({**settings, "attention": {**attention, "switch_epoch": switch}, "epochs": epochs})
    keys = {"run": "many", "scenario": "digits-exp-0.05", "trial_id": f"digits-exp-0.05-{number:04d}"}
    rows = [{**keys, **_epoch(source, epoch, switch)} for epoch in range(epochs)]
    about = {"number": number, "phase": "search", "status": "completed", "class_counts": [50] * NUM_CLASSES}
    summary = records.summary_columns([*rows], records.DEFAULT_METRIC)
    return {**keys, **about, **records.config_columns(config), **summary, "wall_s": 100.0}, rows, config


def _epoch(source: random.Random, epoch: int, switch: int) -> dict[str, Any]:
    score = source.uniform(0.3, 0.9)
    return {
        "epoch": epoch,
        "stage": 1 if epoch < switch else 2,
        "inherited": False,
        "lr": 0.1,
        **{name: source.uniform(0.2, 0.9) for name in ("train_loss", *records.METRICS)},
        "val_balanced_accuracy": score,
        "val_recall": [source.random() for _ in range(NUM_CLASSES)],
        "log_u": source.gauss(0, 1),
        "mean_weight": [source.random() for _ in range(NUM_CLASSES)],
        "mean_weight_clean": source.random(),
        "train_s": source.random(),
        "val_s": source.random(),
        "images_per_s": 4000 * source.random(),
    }


def write_ours(folder: Path, trials: int, epochs: int) -> Path:
    """A run folder of absgd-tune."""
    folder.mkdir(parents=True)
    made = [trial_rows(number, epochs) for number in range(trials)]
    records.write_table(
        folder / records.TRIALS_FILE, records.as_table(records.TRIAL_SCHEMA, [row for row, _, _ in made])
    )
    rows = [row for _, own, _ in made for row in own]
    records.write_table(folder / records.EPOCHS_FILE, records.as_table(records.EPOCH_SCHEMA, rows))
    return folder


def write_rays(folder: Path, trials: int, epochs: int) -> Path:
    """An experiment folder of Ray Tune with the same content."""
    from ray.tune import PlacementGroupFactory
    from ray.tune.experiment import Trial

    storage_context = importlib.import_module("ray.train._internal.storage").StorageContext
    states = []
    for number in range(trials):
        _, rows, config = trial_rows(number, epochs)
        assert config.attention is not None, "these runs have a stage two"
        params = {**config.attention.model_dump(), "dataset": "digits", "imb_type": "exp", "imb_factor": 0.05}
        name, trial_id = f"train_{number:05d}", f"ab12c_{number:05d}"
        own = folder / name
        own.mkdir(parents=True)
        (own / "params.json").write_text(json.dumps(params, indent=4))
        results = [_result(row, trial_id, params) for row in rows]
        (own / "result.json").write_text("".join(json.dumps(result) + "\n" for result in results))
        storage = storage_context(storage_path=str(folder.parent), experiment_dir_name=folder.name, trial_dir_name=name)
        trial = Trial("train", config=params, trial_id=trial_id, storage=storage, stub=True)
        trial.placement_group_factory = PlacementGroupFactory([{"CPU": 1}])
        trial.update_last_result(results[-1])
        states.append(trial.get_json_state())
    state = {"trial_data": states, "runner_data": {}, "stats": {"start_time": 0}}
    (folder / "experiment_state-2026-01-01_00-00-00.json").write_text(json.dumps(state))
    return folder


_KEYS = ("run", "scenario", "trial_id", "inherited")


def _result(row: dict[str, Any], trial_id: str, params: dict[str, Any]) -> dict[str, Any]:
    """A line as Ray writes it: what the trial reported, then Ray's own."""
    done, spent = row["epoch"] + 1, row["train_s"] + row["val_s"]
    return {
        **{name: value for name, value in row.items() if name not in _KEYS},
        "timestamp": 1795528949,
        "checkpoint_dir_name": None,
        "done": False,
        "training_iteration": done,
        "trial_id": trial_id,
        "date": "2026-01-01_00-00-00",
        "time_this_iter_s": spent,
        "time_total_s": spent * done,
        "pid": 1,
        "hostname": "host",
        "node_ip": "127.0.0.1",
        "config": params,
        "time_since_restore": spent * done,
        "iterations_since_restore": done,
    }


def load_once(side: str, folder: Path) -> dict[str, float]:
    """Seconds of one load in this process, and its memory."""
    load, size = _ray_side() if side == "Ray" else _our_side()
    before = _forget_peak()
    started, cpu = time.perf_counter(), time.process_time()
    loaded = load(str(folder))
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    peak = _status_kib("VmHWM") - before
    return {"load_s": seconds, "cpu_s": cpu_s, "peak_mib": peak / 1024, "frames_mib": size(loaded) / 2**20}


def _forget_peak() -> int:
    """Begin the process's largest resident size anew, in KiB, from the present one: a fork inherits its parent's."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status_kib("VmRSS")


def _status_kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)))


_Side = tuple[Callable[[str], Any], Callable[[Any], int]]


def _our_side() -> _Side:
    from analysis import load

    def size(runs: Any) -> int:
        return int(sum(frame.memory_usage(deep=True).sum() for frame in (runs.trials, runs.epochs)))

    return load, size


def _ray_side() -> _Side:
    from ray.tune import ExperimentAnalysis

    def size(analysis: Any) -> int:
        return int(sum(frame.memory_usage(deep=True).sum() for frame in analysis.trial_dataframes.values()))

    return ExperimentAnalysis, size


def in_a_process(side: str, folder: Path) -> dict[str, float]:
    """`load_once` in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.load_results", "--side", side, "--folder", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, and the smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def measure(folder: Path, trials: int, epochs: int, rounds: int) -> dict[str, Any]:
    """Every side, several times, and the memory of ours by number of trials."""
    ours = write_ours(folder / "ours", trials, epochs)
    rays = write_rays(folder / "rays", trials, epochs)
    places = {"ours": ours, "ours on Ray's": rays, "Ray": rays}
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for round_ in range(rounds + 1):
        for side in SIDES:
            found = in_a_process(side, places[side])
            print(f"round {round_}: {side} {found['load_s']:.2f} s", file=sys.stderr, flush=True)
            runs[side] += [found] if round_ else []
    sides = {side: {key: summary([run[key] for run in own]) for key in own[0]} for side, own in runs.items()}
    pairs = list(zip(runs["ours"], runs["Ray"], strict=True))
    ratios = {key: summary([other[key] / our[key] for our, other in pairs]) for key in ("load_s", "cpu_s")}
    memory = []
    for part in sorted({max(1, trials // 4), max(1, trials // 2)}):
        found = in_a_process("ours", write_ours(folder / f"ours-{part}", part, epochs))
        memory.append({"trials": part, "peak_mib": found["peak_mib"], "frames_mib": found["frames_mib"]})
    memory.append({"trials": trials, **{key: sides["ours"][key]["median"] for key in ("peak_mib", "frames_mib")}})
    sizes = {name: sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) / 2**20 for name, path in
             (("ours", ours), ("Ray", rays))}  # fmt: skip
    return {"trials": trials, "epochs": epochs, "sides": sides, "ratio": ratios, "memory": memory,
            "disk_mib": sizes}  # fmt: skip


def show(found: dict[str, Any]) -> None:
    """Print what was measured."""
    print(f"{found['trials']:,} trials x {found['epochs']} epochs\n")
    print("| side | load, median (smallest to largest) | processor time | peak | frames |\n|---|---:|---:|---:|---:|")
    for side, own in found["sides"].items():
        spreads = " | ".join(_spread(own[key], "{:.2f}") + " s" for key in ("load_s", "cpu_s"))
        print(f"| {side} | {spreads} | {own['peak_mib']['median']:.0f} MiB | {own['frames_mib']['median']:.0f} MiB |")
    load, cpu = (_spread(found["ratio"][key], "{:.0f}") for key in ("load_s", "cpu_s"))
    print(f"\nRay / ours: {load} times the wall time, {cpu} times the processor time")
    print(f"on disk: {found['disk_mib']['ours']:.0f} MiB, {found['disk_mib']['Ray']:.0f} MiB")
    for row in found["memory"]:
        print(f"{row['trials']:,} trials: peak {row['peak_mib']:.0f} MiB, frames {row['frames_mib']:.0f} MiB")


def _spread(values: dict[str, float], form: str) -> str:
    median, low, high = (form.format(values[name]) for name in ("median", "min", "max"))
    return f"{median} ({low} to {high})"


def targets(found: dict[str, Any]) -> list[tuple[bool, str]]:
    """Whether each target holds, and the sentence."""
    median, largest = found["sides"]["ours"]["load_s"]["median"], found["memory"][-1]
    peak = largest["peak_mib"] / largest["frames_mib"]
    return [
        (median < TARGET_S, f"load of ours {median:.2f} s in the median, target under {TARGET_S:.0f} s"),
        (peak < MAX_PEAK_PER_FRAME, f"peak memory {peak:.1f} times the frames, target under {MAX_PEAK_PER_FRAME:.0f}"),
    ]


def main() -> int:
    """Measure, print, keep."""
    parser = command_parser("benchmarks.load_results", __doc__)
    parser.add_argument("--trials", type=at_least(1), default=1000)
    parser.add_argument("--epochs", type=at_least(1), default=200)
    parser.add_argument("--rounds", type=at_least(1), default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(load_once(options.side, options.folder)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.trials, options.epochs, options.rounds)
    show(found)
    results = targets(found)
    for holds, sentence in results:
        print(f"{'ok' if holds else 'FAILED'}: {sentence}")
    if options.json:
        options.json.write_text(json.dumps({**found, "environment": environment(parser.prog)}, indent=1) + "\n")
    return 0 if all(holds for holds, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
