"""Ray's own account of how trials ended: the JSON files experiment_state-*.json of an experiment folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from analysis.frames.complaints import Complain, reason_of

STATE_FILES = "experiment_state-*.json"
"""Ray writes one for each session of an experiment, named after its start."""
UNFINISHED = ("PENDING", "RUNNING", "PAUSED")


class RayState(NamedTuple):
    """The state of a trial when Ray last wrote it down."""

    folder: str
    """Name of the trial's folder; empty if Ray never made one."""
    trial_id: str
    status: str
    """`TERMINATED`, `ERROR`, or one of `UNFINISHED`."""


def read_states(path: Path, complain: Complain) -> list[RayState]:
    """Return the last known state of each trial of an experiment; empty if no state file can be read.

    The states are JSON in JSON; what Ray pickles into them stays text.
    """
    found: dict[str, RayState] = {}
    for file in sorted(path.glob(STATE_FILES)):  # by the time in their names; later sessions replace earlier ones
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            states = list(_states(data))
        except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            complain(f"cannot read {file.name}: {reason_of(error)}")
            continue
        found |= {state.trial_id: state for state in states}
    return list(found.values())


def _states(data: Mapping[str, Any]) -> Iterator[RayState]:
    """Yield the states in a file of Ray 2.6 or later (`trial_data`) or of an earlier one (`checkpoints`)."""
    for entry in data["trial_data"] if "trial_data" in data else data["checkpoints"]:
        state = entry[0] if isinstance(entry, list) else entry
        state = json.loads(state) if isinstance(state, str) else state
        folder = state.get("relative_logdir") or state.get("logdir") or ""
        yield RayState(
            folder=PurePosixPath(str(folder)).name,
            trial_id=str(state["trial_id"]),
            status=str(state["status"]),
        )
