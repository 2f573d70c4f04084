"""The environment of a result: versions, git commit, hardware and command line; imports no torch."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from absgd.paths import is_endless
from absgd.records.atomic import write_atomically

GIT_S = 20.0
"""Time for each answer of git."""
_PACKAGES = ("absgd-tune", "torch", "torchvision", "ray", "optuna", "numpy", "pandas", "pyarrow", "scikit-learn")


def add_session(path: Path, gpus: list[str]) -> None:
    """Append the environment of this process to the JSON file at `path`: one entry for a start and for each resume."""
    try:
        text = "" if is_endless(path) else path.read_text(encoding="utf-8")
        sessions = [session for session in json.loads(text)["sessions"] if _is_session(session)]
    except (FileNotFoundError, ValueError, TypeError, LookupError, RecursionError):
        sessions = []  # an absent or damaged log must not stop a run
    sessions.append(describe_environment(gpus))
    write_atomically(path, json.dumps({"sessions": sessions}, indent=2) + "\n")


def _is_session(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("started_at"), str)


def describe_environment(gpus: list[str]) -> dict[str, Any]:
    """Return versions, git commit, hardware and command line as plain data.

    Args:
        gpus: names of the GPUs, which only torch knows.
    """
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "git_sha": _git_sha(),
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cpu_count": os.cpu_count(),
        "gpus": gpus,
    }


def _cpu_name() -> str:
    """Return the model of the processor, which Python itself knows on some systems only."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def version_of(package: str) -> str | None:
    """Return the version of a package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_sha() -> str | None:
    """Return the commit of the checkout this code runs from, with `+dirty` for local changes; None outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        sha, status = (_git(root, *words) for words in (("rev-parse", "HEAD"), ("status", "--porcelain")))
    except (OSError, subprocess.SubprocessError):
        return None
    return sha + ("+dirty" if status else "")


def _git(root: Path, *words: str) -> str:
    """Return what git prints; its time is bounded, since a checkout may lie on a disk that does not answer."""
    command = ["git", "-C", str(root), *words]
    done = subprocess.run(command, capture_output=True, check=True, timeout=GIT_S)
    return done.stdout.decode(errors="replace").strip()
