"""The installed commands in separate processes, as a user starts them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from tests.support.waiting import TIMEOUT_S

BIN = Path(sys.executable).parent
ON_CPU = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
"""Environment of tests that compare bits."""


def command(*words: str) -> list[str]:
    """Return the words of a command of this environment."""
    return [str(BIN / words[0]), *words[1:]]


def run(folder: Path, *words: str, environment: Mapping[str, str] = ON_CPU) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder to its end."""
    return subprocess.run(
        command(*words), cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@contextmanager
def started(
    folder: Path, *words: str, environment: Mapping[str, str] = ON_CPU, output: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """Start a command in its own process group; end it with the block in any case.

    Args:
        folder: where it starts.
        words: the command.
        environment: its environment.
        output: descriptor of its standard output and error; by default a pipe for each.
    """
    process = subprocess.Popen(
        command(*words),
        cwd=folder,
        env=environment,
        stdout=output,
        stderr=output,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def put_wrong_modules(folder: Path) -> None:
    """Put packages with our names, and modules with names of the standard library, where the user stands.

    Neither a command nor any process that it starts may import them.
    """
    for name in ("absgd", "tune_runs", "analysis", "torch"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    for name in ("statistics", "random", "pickle", "signal", "queue"):
        (folder / f"{name}.py").write_text("raise SystemExit('the wrong module')")


def replaced_table(path: Path) -> pd.DataFrame:
    """Read a Parquet file that a running search replaces: pandas opens it twice, and would mix two versions."""
    return pd.read_parquet(io.BytesIO(path.read_bytes()))


def has_completed(trials: Path) -> bool:
    """Whether a trial of a search that may still run is recorded as completed."""
    return trials.exists() and "completed" in set(replaced_table(trials).status)
