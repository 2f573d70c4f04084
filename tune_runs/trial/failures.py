"""Which errors are worth another start, what is to be said of them, and when there were too many; no Ray here."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

_LOST_INSIDE = (
    "ObjectLostError",
    "OwnerDiedError",
    "ObjectFetchTimedOutError",
    "ReferenceCountingAssertionError",
    "ImagesLost",
    "RanksLost",
    "CohortLost",
    "NoMember",
)
"""Names of exceptions that a run raises when what it reads was on a node, or in a process, that is gone."""
_FRAMES = ("Traceback (most recent call last)", '  File "', "ray::")
"""Signs that an exception was raised in a run; of a process that is gone Ray says only what became of it."""
_MEMORY_MONITOR = ("ray.exceptions.OutOfMemoryError", "running low on memory")
_GPU_MEMORY = (
    "torch.OutOfMemoryError",
    "torch.cuda.OutOfMemoryError",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
_CPU_MEMORY = ("MemoryError", "DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")


class FailureCause(NamedTuple):
    """What an error comes from."""

    is_lost: bool
    """Whether the process ended without a word, so that the run may go on in another one."""
    words: str
    """One line for the trial's row."""


def cause_of(traceback: str) -> FailureCause:
    """What the error text of a failed trial tells.

    >>> cause_of("Traceback (most recent call last):\\n  ...\\nMemoryError").words
    'out of memory (MemoryError): lower `batch_size`, or raise `resources.cpu` so that fewer runs train at once'
    """
    if any(sign in traceback for sign in _MEMORY_MONITOR):
        return FailureCause(False, f"out of memory (ended by Ray, the node ran low): {_CPU_HINT}")
    text = _FAILURE.sub("", traceback).strip()
    was_raised = any(sign in text for sign in _FRAMES)
    if (text and not was_raised) or any(name in text for name in _LOST_INSIDE):
        reason = text.splitlines()[0 if not was_raised else -1].partition(". ")[0][:200]
        lost = f"its process or node was lost ({reason})"
        return FailureCause(True, f"{lost}: a kill, a crash, or no memory: {_CPU_HINT}")
    message = _message(traceback)
    for signs, where, hint in (
        (_GPU_MEMORY, "out of GPU memory", _GPU_HINT),
        (_CPU_MEMORY, "out of memory", _CPU_HINT),
    ):
        if line := next((line for line in message if any(sign in line for sign in signs)), None):
            return FailureCause(False, f"{where} ({line}): {hint}")
    return FailureCause(False, message[0])


def is_gpu_memory(message: str) -> bool:
    """Whether the message of an exception says that a GPU has no memory left.

    >>> is_gpu_memory("torch.OutOfMemoryError: CUDA out of memory"), is_gpu_memory("MemoryError")
    (True, False)
    """
    return any(sign in message for sign in _GPU_MEMORY)


def _message(traceback: str) -> list[str]:
    """The lines of the exception, its type first: what follows the last indented line of code."""
    lines = [line.rstrip() for line in _FAILURE.sub("", traceback).splitlines() if line.strip()]
    code = [place for place, line in enumerate(lines) if line.startswith("  ")]
    return [line.strip() for line in lines[code[-1] + 1 if code else 0 :]] or ["ended without an exception"]


_FAILURE = re.compile(r"^Failure # \d+ \(occurred at [^)]*\)$", re.MULTILINE)
"""What Ray writes above an error."""
_GPU_HINT = "lower `batch_size`, or let fewer trials share the GPU: raise `resources.gpu`, or lower `resources.cohort`"
_CPU_HINT = "lower `batch_size`, or raise `resources.cpu` so that fewer runs train at once"


class FailureCounter:
    """Counts what went wrong in a session.

    Args:
        max_failures: times that a run may lose its process and go on, without an epoch trained between.
        max_equal_errors: runs of a scenario in a row that fail with the same error, before an epoch of their own, after
            which the search ends: the next ones would fail as well.
    """

    def __init__(self, max_failures: int, max_equal_errors: int) -> None:
        self._max_failures, self._max_equal_errors = max_failures, max_equal_errors
        self._restarts: Counter[str] = Counter()
        self._epochs: dict[str, int] = {}
        """Trial -> epochs that it had trained when it last lost its process."""
        self._errors: dict[str, str] = {}
        """Scenario -> its last early error, without numbers."""
        self._equal: Counter[str] = Counter()
        """Scenario -> how often that came in a row."""

    def may_restart(self, trial_id: str, epochs_trained: int) -> bool:
        """Whether a run that lost its process goes on in another one; counts it.

        Anew after each epoch that it has trained since: whoever gets on is not what ends a process that several share.

        Args:
            trial_id: of the run.
            epochs_trained: by it so far.
        """
        if epochs_trained > self._epochs.get(trial_id, 0):
            self._restarts[trial_id] = 0
        self._epochs[trial_id] = epochs_trained
        self._restarts[trial_id] += 1
        return self._restarts[trial_id] <= self._max_failures

    def passed(self, scenario: str) -> None:
        """A run of a scenario ended without an error: not everything fails."""
        self._equal[scenario] = 0

    def failed(self, scenario: str, epochs_trained: int, error_line: str) -> str | None:
        """A run failed; why the search ends, where it is one too many.

        Args:
            scenario: of the run.
            epochs_trained: by it.
            error_line: its error, as recorded.
        """
        if epochs_trained:
            self.passed(scenario)
            return None
        error = _DIGITS.sub("0", error_line)  # sizes, addresses and process ids differ from run to run
        self._equal[scenario] = self._equal[scenario] + 1 if error == self._errors.get(scenario) else 1
        self._errors[scenario] = error
        if self._equal[scenario] < self._max_equal_errors:
            return None
        return (
            f"{self._equal[scenario]} runs of {scenario} in a row failed before their first epoch "
            f"with the same error: {error_line}"
        )


_DIGITS = re.compile(r"\d+(\.\d+)?")
