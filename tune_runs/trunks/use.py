"""What a run does with a trunk: where its snapshots lie, where the run forks, and which snapshots it leaves.

Pure data: nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from dataclasses import dataclass

from absgd.config import RunConfig


@dataclass(frozen=True)
class TrunkUse:
    """What a run does with the snapshots of a trunk."""

    folder: str
    """Where the trunks of its scenario lie; absolute."""
    stage_one: str
    """`stage_one_key` of the run."""
    data: str
    """Fingerprint of what it learns from."""
    start_at: int = 0
    """A fork goes on from the newest snapshot at or before so many epochs."""
    save_at: tuple[int, ...] = ()
    """Epochs done, rising, at which a trunk's control leaves snapshots; a fork leaves none."""


def fork_epoch(config: RunConfig) -> int:
    """Epochs that a run has in common with its plain control: all but the last where it is the control over again.

    At least one epoch is left, so that every trial trains and reports something.
    """
    return config.attention.switch_epoch if config.attention else config.epochs - 1
