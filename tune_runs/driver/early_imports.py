"""Imports of what the first comparison of a confirmation needs, while runs train."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any

from ray.tune import Callback

NEEDED = ("scipy.special", "scipy.optimize")
"""What `absgd.comparisons` imports when it is first called: half a second, in which nothing trains."""


class EarlyImports(Callback):  # type: ignore[misc]
    """Imports NEEDED in a thread once the first result has arrived; before, the processors are busy with imports."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        """None before the first result."""

    def on_trial_result(self, **_: Any) -> None:
        """Start the thread."""
        if self.thread is None:
            self.thread = threading.Thread(target=_import_needed, name="early imports")
            self.thread.start()


def _import_needed() -> None:
    for name in NEEDED:
        import_module(name)
