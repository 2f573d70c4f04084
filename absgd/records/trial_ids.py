"""The ids of runs outside an Optuna study, and the source and seed pair that an id tells."""

from __future__ import annotations

import re

_FRESH = "-seed"
_FRESH_PAIR = re.compile(rf"{_FRESH}(\d+)$")


def control_id(scenario: str, stage_one_key: str | None = None, pair: int = 0) -> str:
    """Return the trial id of a scenario's plain control, or of the plain control of another stage one in its search.

    >>> control_id("digits"), control_id("digits", "0123456789abcdef"), control_id("digits", pair=2)
    ('digits-control', 'digits-control-01234567', 'digits-control-pair2')
    """
    other = f"-{stage_one_key[:8]}" if stage_one_key else ""
    own = f"{scenario}-control{other}"
    return replicate_id(own, pair) if pair else own


def replicate_id(trial_id: str, pair: int) -> str:
    """Return the trial id of a search trial on a further pair of the search.

    >>> replicate_id("digits-0003", 2)
    'digits-0003-pair2'
    """
    return f"{trial_id}-pair{pair}"


def confirm_id(run: str, pair: int) -> str:
    """Return the trial id of a candidate of a confirmation on a fresh pair.

    >>> confirm_id("digits-0003", 4)
    'digits-0003-seed4'
    """
    return f"{run}{_FRESH}{pair}"


def source_of(trial_id: str) -> str:
    """Return the `run` that `confirm_id` made a trial id of."""
    return trial_id.rpartition(_FRESH)[0]


def earlier_pair(phase: str, trial_id: str) -> int | None:
    """Return the seed pair of a run of a version that did not record it: all of its searches had one, pair 0.

    >>> earlier_pair("search", "digits-0001"), earlier_pair("confirm", "digits-0001-seed3")
    (0, 3)

    Args:
        phase: phase of the run.
        trial_id: its id; that of a run on fresh seeds ends in the number of its pair.
    """
    if phase in ("search", "control"):
        return 0
    found = _FRESH_PAIR.search(trial_id) if phase == "confirm" else None
    return int(found[1]) if found else None
