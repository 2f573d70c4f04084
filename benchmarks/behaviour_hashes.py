"""Hashes of a fixed set of runs and searches: equal hashes before and after a change of the code mean equal behaviour.

Every case runs `absgd-train` or `absgd-tune` in its own process, one trial at a time, on the CPU. It hashes the exit
status, each table, the tensors of each checkpoint and snapshot, the Optuna journal and the chosen configurations. It
omits values that differ between runs (clocks, process ids, absolute paths) and text that may be reworded (messages,
comments).

The numbers depend on the processor, so compare two runs on one machine only::

    python -m benchmarks.behaviour_hashes --out before.json
    python -m benchmarks.behaviour_hashes --out after.json --against before.json
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
import yaml

from benchmarks.harness.command_line import command_parser

RANDOM_IDS = ("origin",)
"""Keys of a snapshot that hold the random id of its search."""
CLOCKS = ("train_s", "val_s", "images_per_s", "wall_s", "started_at")
MESSAGES = ("error",)
JOURNAL_NOISE = ("worker_id", "datetime_start", "datetime_complete")

RUN: dict[str, Any] = {
    "data": {"name": "digits", "val_per_class": 10},
    "imbalance": {"type": "exp", "ratio": 0.1},
    "model": {"name": "resnet8"},
    "optimizer": {"lr": 0.05},
    "epochs": 3,
    "batch_size": 32,
    "device": {"type": "cpu", "threads": 2},
}
ATTENTION = {"lam": 2.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 1}
RUNS: dict[str, dict[str, Any]] = {
    "ce": {"loss": {"name": "ce"}},
    "focal, rotated, clipped": {
        "loss": {"name": "focal", "focal_gamma": 2.0},
        "augmentation": {"rotation_deg": 10.0},
        "optimizer": {"lr": 0.05, "grad_clip": 1.0},
    },
    "abce, reweighted from the switch": {
        "loss": {"name": "abce"},
        "attention": ATTENTION,
        "class_balance": {"type": "reweight", "from_epoch": "switch"},
    },
    "abldam, resampled, cosine schedule": {
        "loss": {"name": "abldam"},
        "attention": {**ATTENTION, "lam": -2.0},
        "model": {"name": "resnet8", "head": "cosine", "dropout": 0.1},
        "class_balance": {"type": "resample", "from_epoch": 1},
        "schedule": {"type": "cosine", "warmup_epochs": 1},
    },
    "abtce on noisy labels": {
        "loss": {"name": "abtce"},
        "attention": {**ATTENTION, "add_uniform": True},
        "noise": {"type": "symmetric", "rate": 0.3},
    },
    "absce, cnn8": {"loss": {"name": "absce"}, "attention": ATTENTION, "model": {"name": "cnn8"}, "epochs": 2},
    "balanced softmax, step imbalance": {
        "loss": {"name": "balanced_softmax"},
        "imbalance": {"type": "step", "ratio": 0.1},
    },
    "two processes": {"loss": {"name": "ce"}, "device": {"type": "cpu", "threads": 1, "ranks": 2}},
    "diverged": {"loss": {"name": "ce"}, "optimizer": {"lr": 1e20}},
    "refused": {"loss": {"name": "abce"}},
}
SPACE: dict[str, Any] = {
    "name": "s",
    "base": {
        "data": {"name": "digits", "val_per_class": 10},
        "model": {"name": "resnet8"},
        "optimizer": {"lr": 0.05},
        "epochs": 6,
        "batch_size": 32,
    },
    "scenarios": [{"imbalance": {"type": "exp", "ratio": 0.1}}],
    "search": {
        "lam": {"low": 0.5, "high": 50, "log": True},
        "gamma": {"low": 0.1, "high": 1.0},
        "ab_alpha": {"low": 0.2, "high": 1.0},
        "switch_epoch": {"low": 2, "high": 4},
    },
    "num_trials": 8,
    "seeds": {"pairs": 1},
    "confirm": None,
    "resources": {"cpu": 2, "gpu": 0},
}
SPACES: dict[str, dict[str, Any]] = {
    "two scenarios, confirmed": {
        "scenarios": [
            {"imbalance": {"type": "exp", "ratio": 0.1}},
            {"noise": {"type": "symmetric", "rate": 0.2}},
        ],
        "confirm": {"max_pairs": 2, "controls": ["ce", "ce-lr", "cb-ce-drw", "ldam-drw"]},
        "num_trials": 6,
    },
    "several stage ones": {
        "search": {**SPACE["search"], "optimizer.lr": {"choices": [0.02, 0.05]}},
        "early_stopping": {"rule": "age", "grace_period": 1},
    },
    "two signs, no early stopping, enqueued": {
        "search": {**SPACE["search"], "lam": {"low": 0.5, "high": 50, "log": True, "sign": [1, -1]}},
        "early_stopping": None,
        "num_trials": 5,
        "enqueue": [{"lam": 5, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 4}],
    },
    "early stopping by median": {"early_stopping": {"rule": "median", "grace_period": 1}},
    "a cohort": {
        "resources": {"cpu": 2, "gpu": 0, "cohort": 2},
        "num_trials": 2,
        "early_stopping": None,
        "enqueue": [
            {"lam": 5, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 4},
            {"lam": 1, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 2},
        ],
    },
    "refused": {"num_trials": 0},
}


def main() -> None:
    """Run all cases, write their hashes, and compare them with earlier ones."""
    parser = command_parser("benchmarks.behaviour_hashes", __doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the hashes")
    parser.add_argument("--against", type=Path, help="hashes of another version; exit with status 1 where they differ")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = dict(all_hashes(Path(scratch)))
    options.out.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
    if options.against:
        differing = hash_differences(json.loads(options.against.read_text()), found)
        print("\n".join(differing) or f"{len(found)} hashes are equal")
        sys.exit(bool(differing))


def hash_differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return a line for each hash that differs or is missing on one side.

    >>> hash_differences({"a": "1", "b": "2"}, {"a": "1", "c": "2"})
    ['b: 2 before, nothing after', 'c: nothing before, 2 after']
    """
    names = sorted({*before, *after})
    pairs = ((name, before.get(name, "nothing"), after.get(name, "nothing")) for name in names)
    return [f"{name}: {one} before, {other} after" for name, one, other in pairs if one != other]


def all_hashes(scratch: Path) -> Iterator[tuple[str, str]]:
    """Yield name and hash of every exit status and file that the cases produce."""
    for name, changes in RUNS.items():
        config = scratch / f"{_slug(name)}.yaml"
        config.write_text(yaml.safe_dump({**RUN, **changes}))
        folder = scratch / "runs" / _slug(name)
        yield from _case(f"run {name}", scratch, folder, "absgd-train", "--config", str(config), "--out", str(folder))
    tested = scratch / "runs" / "ce"
    yield from _case("run ce, tested", scratch, tested, "absgd-train", "--resume", str(tested), "--test")
    for name, changes in SPACES.items():
        space = scratch / f"{_slug(name)}-space.yaml"
        space.write_text(yaml.safe_dump({**SPACE, **changes, "name": _slug(name)}))
        folder = scratch / "searches" / _slug(name)
        asked = ("absgd-tune", "--space", str(space), "--out", str(folder.parent))
        yield from _case(f"search {name}", scratch, folder, *asked)
    extended = scratch / "searches" / _slug("two scenarios, confirmed")
    yield from _case("search extended", scratch, extended, "absgd-tune", "--resume", str(extended), "--extend", "2")


def _case(name: str, scratch: Path, folder: Path, *command: str) -> Iterator[tuple[str, str]]:
    print(name, file=sys.stderr, flush=True)
    executable = str(Path(sys.executable).parent / command[0])
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"}
    done = subprocess.run(
        [executable, *command[1:]], cwd=scratch, env=environment, capture_output=True, text=True, check=False
    )
    yield f"{name}: exit status", str(done.returncode)
    for path in sorted(folder.rglob("*")) if folder.exists() else ():
        if path.is_file() and (content := _content(path)) is not None:
            text = content.replace(str(scratch), "SCRATCH")
            yield f"{name}: {path.relative_to(folder)}", hashlib.sha256(text.encode()).hexdigest()[:16]


def _content(path: Path) -> str | None:
    """Return the content of a file to hash, as text; None for files that describe one session only."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        kept = [name for name in table.column_names if name not in (*CLOCKS, *MESSAGES)]
        return f"{kept} {sorted(map(repr, table.select(kept).to_pylist()))}"
    if path.suffix == ".pt":
        return _plain(torch.load(path, map_location="cpu", weights_only=True))
    if path.suffix == ".journal":
        return "\n".join(sorted(map(_journal_line, path.read_text().splitlines())))
    return json.dumps(yaml.safe_load(path.read_text()), sort_keys=True) if path.suffix == ".yaml" else None


def _journal_line(line: str) -> str:
    entry = json.loads(line)
    return json.dumps({key: value for key, value in entry.items() if key not in JOURNAL_NOISE}, sort_keys=True)


def _plain(value: object) -> str:
    """Return a checkpoint's content as text: tensors by the hash of their bytes, without clocks."""
    if isinstance(value, torch.Tensor):
        content = value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(content).hexdigest()}"
    if isinstance(value, Mapping):
        return str({str(key): _plain(inner) for key, inner in value.items() if key not in (*CLOCKS, *RANDOM_IDS)})
    return str([_plain(inner) for inner in value]) if isinstance(value, list | tuple) else repr(value)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


if __name__ == "__main__":
    main()
