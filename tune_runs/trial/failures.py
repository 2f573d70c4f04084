"""The causes of failures: which are worth a restart, how the user reads them, and when they are too many; no Ray."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from absgd.counts import plural

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
"""Names of exceptions that a run raises when a node or process that it depends on is gone."""
_FRAMES = ("Traceback (most recent call last)", '  File "', "ray::")
"""Signs that an exception was raised in the run; for a lost process Ray only reports how it ended."""
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
    """The cause of a failure."""

    is_lost: bool
    """Whether the process ended without an exception of the run, so that the run may resume in another one."""
    words: str
    """The cause in one line, for the trial's row."""


def cause_of(traceback: str) -> FailureCause:
    """Return the cause of a failure from the error text of the trial.

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
    """Return the lines of the exception, its type first: those after the last indented line of code."""
    lines = [line.rstrip() for line in _FAILURE.sub("", traceback).splitlines() if line.strip()]
    code = [place for place, line in enumerate(lines) if line.startswith("  ")]
    return [line.strip() for line in lines[code[-1] + 1 if code else 0 :]] or ["ended without an exception"]


_FAILURE = re.compile(r"^Failure # \d+ \(occurred at [^)]*\)$", re.MULTILINE)
"""Line that Ray writes above an error."""
_GPU_HINT = "lower `batch_size`, or let fewer trials share the GPU: raise `resources.gpu`, or lower `resources.cohort`"
_CPU_HINT = "lower `batch_size`, or raise `resources.cpu` so that fewer runs train at once"


class FailureCounter:
    """Counts the failures of a session.

    Args:
        max_failures: times that a run may lose its process and resume without training an epoch in between.
        max_equal_errors: consecutive runs of a scenario that may fail with the same error before their first epoch;
            at this number the search ends, since the next runs would fail as well.
    """

    def __init__(self, max_failures: int, max_equal_errors: int) -> None:
        self._max_failures, self._max_equal_errors = max_failures, max_equal_errors
        self._restarts: Counter[str] = Counter()
        self._epochs: dict[str, int] = {}
        """Trial -> epochs that it had trained when it last lost its process."""
        self._errors: dict[str, str] = {}
        """Scenario -> its last error before a first epoch, with every number replaced by 0."""
        self._equal: Counter[str] = Counter()
        """Scenario -> how many consecutive runs had that error."""

    def may_restart(self, trial_id: str, epochs_trained: int) -> bool:
        """Count a lost process; return whether its run may resume in another one.

        The count restarts once the run has trained an epoch: a run that makes progress is not the one that ends a
        process shared by several runs.

        Args:
            trial_id: the run.
            epochs_trained: epochs that the run has trained so far.
        """
        if epochs_trained > self._epochs.get(trial_id, 0):
            self._restarts[trial_id] = 0
        self._epochs[trial_id] = epochs_trained
        self._restarts[trial_id] += 1
        return self._restarts[trial_id] <= self._max_failures

    def passed(self, scenario: str) -> None:
        """Reset a scenario's count of equal errors, after a run that ended without one."""
        self._equal[scenario] = 0

    def failed(self, scenario: str, epochs_trained: int, error: str) -> str | None:
        """Count a failed run; return why the search must end, None while it may continue.

        Args:
            scenario: of the run.
            epochs_trained: epochs that the run trained before it failed.
            error: one line, as recorded.
        """
        if epochs_trained:
            self.passed(scenario)
            return None
        alike = _DIGITS.sub("0", error)  # sizes, addresses and process ids differ from run to run
        self._equal[scenario] = self._equal[scenario] + 1 if alike == self._errors.get(scenario) else 1
        self._errors[scenario] = alike
        if self._equal[scenario] < self._max_equal_errors:
            return None
        return (
            f"{plural(self._equal[scenario], 'run')} of {scenario} in a row failed before the first epoch "
            f"with the same error: {error}"
        )


_DIGITS = re.compile(r"\d+(\.\d+)?")
