"""The installed commands in processes of their own, as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import TIMEOUT_S

BIN = Path(sys.executable).parent
ON_CPU = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
"""The environment of tests that compare bits."""


def command(*words: str) -> list[str]:
    """The words of a command of this environment."""
    return [str(BIN / words[0]), *words[1:]]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder to its end."""
    return subprocess.run(
        command(*words), cwd=folder, env=ON_CPU, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@contextmanager
def started(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process group of its own, ended with the block whatever happens."""
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
