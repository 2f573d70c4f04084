"""Stage one, trained once: the snapshots that the plain control leaves and trials fork from.

A trunk is a folder of snapshots, `epoch-0160.pt` after 160 epochs. Each is complete in itself: the whole state of
training, the records of the epochs up to it, what it was made with, and a checksum over all of it. So a reader needs
no other file, and two searches may write the same trunk at the same time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from absgd.config import RunConfig
from absgd.errors import UserError
from absgd.training import Trainer
from absgd.training.checkpoint import load_checkpoint, save_checkpoint
from tune_runs.plan import TrunkUse

FORMAT = "1"


class Snapshot(NamedTuple):
    """A run of stage one after some epochs."""

    state: dict[str, Any]
    """What `Trainer.load_state_dict` takes."""
    rows: list[dict[str, Any]]
    """The records of its epochs as columns, each with the `origin` that trained it."""


@dataclass(frozen=True)
class Trunk:
    """The snapshots of one stage one on one data set.

    Args:
        folder: where they lie.
        identity: what each must have been made with, from `trunk_identity`.
    """

    folder: Path
    identity: Mapping[str, str]

    def path(self, epoch: int) -> Path:
        """File of the snapshot after so many epochs."""
        return self.folder / f"epoch-{epoch:04d}.pt"

    def save(self, epoch: int, snapshot: Snapshot) -> None:
        """Write a snapshot, whole or not at all.

        Raises:
            OSError: if it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(self.path(epoch), {"identity": dict(self.identity), **snapshot._asdict()})

    def load(self, epoch: int, device: torch.device | str = "cpu") -> Snapshot:
        """The snapshot after so many epochs, tensors on `device`.

        Raises:
            UserError: if it is missing, damaged, or of another data set, stage one or version.
        """
        path = self.path(epoch)
        content = load_checkpoint(path, device)
        if not {"identity", *Snapshot._fields} <= content.keys():
            raise UserError(f"{path} is no snapshot of a trunk")
        for name, expected in self.identity.items():
            if (found := content["identity"].get(name)) != expected:
                raise UserError(f"{path} is of another {_IDENTITY[name]}: expected {expected}, got {found}")
        if content["state"].get("next_epoch") != epoch or len(content["rows"]) != epoch:
            raise UserError(f"{path} is not what its name says: expected a run after {epoch} epochs")
        return Snapshot(content["state"], content["rows"])

    def epochs(self) -> list[int]:
        """Epochs after which there is a snapshot, intact or not, rising."""
        names = (_NAME.fullmatch(path.name) for path in self.folder.glob("epoch-*.pt"))
        return sorted(int(name[1]) for name in names if name)

    def up_to(self, epoch: int, device: torch.device | str = "cpu") -> Iterator[tuple[int, Snapshot | UserError]]:
        """The snapshots at or before `epoch`, newest first; in place of one that cannot be used, why."""
        for candidate in reversed([found for found in self.epochs() if found <= epoch]):
            try:
                yield candidate, self.load(candidate, device)
            except UserError as error:
                yield candidate, error


_NAME = re.compile(r"epoch-(\d+)\.pt")
_IDENTITY = {"format": "format", "stage_one": "stage one", "data": "data set", "torch": "version of torch"}


def trunk_identity(config: RunConfig, data: str) -> dict[str, str]:
    """What snapshots of the stage one of `config` must agree on; `data` is the fingerprint of its images."""
    return {"format": FORMAT, "stage_one": config.stage_one_key(), "data": data, "torch": str(torch.__version__)}


class Begun(NamedTuple):
    """Where a run starts from."""

    rows: list[dict[str, Any]]
    """Records of the epochs that it has behind it."""
    notes: list[str]
    """A sentence for each snapshot that could not be used."""


def begin(trainer: Trainer, use: TrunkUse) -> Begun:
    """Bring a new `trainer` to the newest usable snapshot; a damaged or foreign one is named, never used.

    Any snapshot before the switch gives the same run: the epochs between are trained again.
    """
    notes: list[str] = []
    for epoch, found in Trunk(Path(use.folder), use.identity).up_to(use.start_at, trainer.device):
        if isinstance(found, Snapshot):
            trainer.load_state_dict(found.state)
            return Begun(found.rows, notes + _notes_of_gap(epoch, use.start_at))
        notes.append(str(found))
    return Begun([], notes + _notes_of_gap(0, use.start_at))


def leave(trainer: Trainer, use: TrunkUse, rows: list[dict[str, Any]]) -> str | None:
    """Save the snapshot of a trainer, if one is due; returns why it could not be written.

    A full disk costs trials the epochs that they must train themselves, not the search.
    """
    if trainer.next_epoch not in use.save_at:
        return None
    trunk = Trunk(Path(use.folder), use.identity)
    try:
        trunk.save(trainer.next_epoch, Snapshot(trainer.state_dict(), rows))
    except OSError as error:
        reason = error.strerror or str(error)
        return f"cannot write {trunk.path(trainer.next_epoch)}: {reason}: trials train what they find no snapshot of"
    return None


def _notes_of_gap(started: int, asked: int) -> list[str]:
    return [] if started == asked else [f"starts from epoch {started} instead of {asked}"]
