"""Wait for a condition, with a bound that a busy machine does not reach."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

TIMEOUT_S = 300.0


def wait_until(
    condition: Callable[[], bool], process: subprocess.Popen[str] | None = None, seconds: float = TIMEOUT_S
) -> None:
    """Return once `condition` holds; fail after `seconds`, or at once when `process` has ended.

    Args:
        condition: checked ten times a second.
        process: a process that must run until then.
        seconds: bound of the wait.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s"
        time.sleep(0.1)
