"""The installed commands in separate processes, as a user starts them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
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


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder to its end."""
    return subprocess.run(
        command(*words), cwd=folder, env=ON_CPU, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@contextmanager
def started(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command in its own process group; end it with the block in any case."""
    process = subprocess.Popen(
        command(*words),
        cwd=folder,
        env=ON_CPU,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def replaced_table(path: Path) -> pd.DataFrame:
    """Read a Parquet file that a running search replaces: pandas opens it twice, and would mix two versions."""
    return pd.read_parquet(io.BytesIO(path.read_bytes()))


def has_completed(trials: Path) -> bool:
    """Whether a trial of a search that may still run is recorded as completed."""
    return trials.exists() and "completed" in set(replaced_table(trials).status)
