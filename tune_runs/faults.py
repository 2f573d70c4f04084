"""Which errors are worth another start, what is to be said of them, and when there were too many; no Ray here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

_LOST = (
    "ActorDiedError",
    "ActorUnavailableError",
    "RayActorError",
    "WorkerCrashedError",
    "NodeDiedError",
    "ActorUnschedulableError",
    "OwnerDiedError",
    "ObjectLostError",
    "ObjectFetchTimedOutError",
    "ReferenceCountingAssertionError",
    "ImagesLost",
)
"""Names of Ray's exceptions for a process, a node, or an object on it, that is gone, and of ours."""
_MEMORY_MONITOR = ("ray.exceptions.OutOfMemoryError", "running low on memory")
_GPU_MEMORY = (
    "torch.OutOfMemoryError",
    "torch.cuda.OutOfMemoryError",
    "CUDA out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
_CPU_MEMORY = ("MemoryError", "DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")


class Cause(NamedTuple):
    """What an error comes from."""

    is_lost: bool
    """Whether the process ended without a word, so that the run may go on in another one."""
    words: str
    """One line for the trial's row."""


def cause_of(traceback: str) -> Cause:
    """What a failed trial's traceback tells.

    >>> cause_of("Traceback\\n  ...\\nMemoryError").words
    'out of memory (MemoryError): lower `batch_size`, or raise `resources.cpu` so that fewer runs train at once'
    """
    lines = [line.strip() for line in traceback.splitlines() if line.strip()]
    last = lines[-1] if lines else "ended without an exception"
    if any(sign in traceback for sign in _MEMORY_MONITOR):
        return Cause(False, f"out of memory (ended by Ray, the node ran low): {_CPU_HINT}")
    if name := next((name for name in _LOST if name in traceback), None):
        return Cause(True, f"its process was lost ({name}), as by a kill, a crash, or memory running out: {_CPU_HINT}")
    if any(sign in last for sign in _GPU_MEMORY):
        return Cause(False, f"out of GPU memory ({last}): {_GPU_HINT}")
    if any(sign in last for sign in _CPU_MEMORY):
        return Cause(False, f"out of memory ({last}): {_CPU_HINT}")
    return Cause(False, last)


_GPU_HINT = "lower `batch_size`, or raise `resources.gpu` so that fewer trials share a GPU"
_CPU_HINT = "lower `batch_size`, or raise `resources.cpu` so that fewer runs train at once"


class Faults:
    """Counts what went wrong in a session.

    Args:
        max_failures: times that a run may lose its process and go on.
        max_equal_errors: runs in a row that fail with the same error, before an epoch of their own, after which the
            search ends: the next ones would fail as well.
    """

    def __init__(self, max_failures: int, max_equal_errors: int) -> None:
        self._max_failures, self._max_equal_errors = max_failures, max_equal_errors
        self._restarts: Counter[str] = Counter()
        self._error, self._equal = "", 0

    def may_restart(self, trial_id: str) -> bool:
        """Whether a run that lost its process goes on in another one; counts it."""
        self._restarts[trial_id] += 1
        return self._restarts[trial_id] <= self._max_failures

    def passed(self) -> None:
        """A run ended without an error: not everything fails."""
        self._equal = 0

    def failed(self, row: Mapping[str, Any]) -> str | None:
        """A run failed; why the search ends, where it is one too many.

        Args:
            row: of the run, as recorded.
        """
        if row["epochs_trained"]:
            self._equal = 0
            return None
        self._equal = self._equal + 1 if row["error"] == self._error else 1
        self._error = row["error"]
        if self._equal < self._max_equal_errors:
            return None
        return f"{self._equal} runs in a row failed before their first epoch with the same error: {self._error}"
