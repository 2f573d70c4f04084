"""Parts of a GPU's hour that end in every way, for tests; each is a module's `measure`, chosen by the part's name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu.part_job import PartFailed, PartJob
from benchmarks.gpu.part_records import PartSection
from benchmarks.gpu.part_table import HourPart

CHILD = "child.pid"
"""File in the hour's folder with the process that a hanging part has started."""


def part_that(name: str, number: int = 1) -> HourPart:
    """Return a part that ends in this way: `passes`, `fails`, `raises`, `dies` or `hangs`."""
    return HourPart(number, name, f"A part that {name}", __name__, 1.0)


def measure(job: PartJob) -> None:
    """End as the name of the part says."""
    job.measure("Begun", lambda: PartSection("", ("one line",), {"value": 1.5}))
    print("the last line", flush=True)
    name = job.order.part.name
    if name == "fails":
        raise PartFailed("two numbers differ")
    if name == "raises":
        raise ArithmeticError("a surprise")
    if name == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "hangs":
        _hang(job.order.folder)
    job.finish()


def _hang(folder: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (folder / CHILD).write_text(str(child.pid))
    time.sleep(600)
