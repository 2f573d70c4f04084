"""The use of a trunk by a run: its folder, the fork epoch, and the snapshots to write.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from dataclasses import dataclass

from absgd.config import RunConfig


@dataclass(frozen=True)
class TrunkUse:
    """How a run uses the snapshots of a trunk."""

    folder: str
    """Folder of the trunks of its scenario; absolute path."""
    stage_one_key: str
    """Stage-one key of the run."""
    data_fingerprint: str
    """Fingerprint of the images and initial weights that it learns from."""
    start_at: int = 0
    """Epochs after which a fork starts: from the newest snapshot at or before them."""
    save_at: tuple[int, ...] = ()
    """Epochs done, rising, after which a trunk's control writes snapshots; none for a fork."""


def fork_epoch(config: RunConfig) -> int:
    """Return the epochs that a run has in common with its plain control.

    For a run without a stage two, which equals its control, all epochs but the last: so every trial trains and reports
    at least one epoch.
    """
    return config.attention.switch_epoch if config.attention else config.epochs - 1
