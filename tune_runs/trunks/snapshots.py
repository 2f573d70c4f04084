"""Snapshots of a run on disk: what a trunk leaves for its forks, and what a trial leaves for its own next start.

A folder of them holds `epoch-0160.pt` after 160 epochs. Each is complete in itself: the whole state of training, the
records of the epochs up to it, what it was made with, and a checksum over all of it. So a reader needs no other file,
and two processes may write the same snapshot at the same time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from absgd.errors import UserError
from absgd.records import snapshot_epochs, snapshot_file, write_atomically
from absgd.training.checkpoint import checkpoint_bytes, load_checkpoint

FORMAT = "3"
"""Of a snapshot. Another one where the file changes, or what the code computes in stage one between two releases."""
ORIGIN = "origin"
"""Key of a snapshot's rows: the run that trained the epoch."""

_IDENTITY = {
    "format": "format",
    "run": "run",
    "stage_one": "stage one",
    "data": "data set",
    "absgd": "version of absgd-tune",
    "torch": "version of torch",
    "hardware": "kind of processor",
}


class Snapshot(NamedTuple):
    """A run after some epochs."""

    state: dict[str, Any]
    """What `Trainer.load_state_dict` takes."""
    rows: list[dict[str, Any]]
    """The records of its epochs as columns, each with the `origin` that trained it."""
    best: dict[str, Any] | None = None
    """Of a confirmation: the model after its best epoch so far, for the test set."""


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of one run, or of one stage one, on one data set.

    Args:
        folder: where they lie.
        identity: what each must have been made with.
        survives_power_cut: whether a snapshot is on the disk itself once it is written. A process that dies loses none
            either way; without, a machine that dies may lose the newest ones, which their checksums tell.
    """

    folder: Path
    identity: Mapping[str, str]
    survives_power_cut: bool = True

    def path(self, epoch: int) -> Path:
        """File of the snapshot after so many epochs."""
        return self.folder / snapshot_file(epoch)

    def encoded(self, snapshot: Snapshot) -> memoryview:
        """The bytes of a snapshot's file."""
        return checkpoint_bytes({"identity": dict(self.identity), **snapshot._asdict()})

    def write(self, epoch: int, content: memoryview) -> None:
        """Write what `encoded` gave, whole or not at all.

        Raises:
            OSError: if it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path(epoch), content, survives_power_cut=self.survives_power_cut)

    def load(self, epoch: int, device: torch.device | str = "cpu") -> Snapshot:
        """The snapshot after so many epochs, tensors on `device`.

        Raises:
            UserError: if it is missing, damaged, or was made from or with something else.
        """
        path = self.path(epoch)
        content = load_checkpoint(path, device)
        is_ours = {"identity", *Snapshot._fields} <= content.keys()
        if not is_ours or not all(isinstance(content[key], Mapping) for key in ("identity", "state")):
            raise UserError(f"{path} is no snapshot of a run")
        for name, expected in self.identity.items():
            if (found := content["identity"].get(name)) != expected:
                raise UserError(f"{path} is of another {_IDENTITY[name]}: expected {expected}, got {found}")
        if content["state"].get("next_epoch") != epoch or len(content["rows"]) != epoch:
            raise UserError(f"{path} is not what its name says: expected a run after {epoch} epochs")
        return Snapshot(content["state"], content["rows"], content["best"])

    def epochs(self) -> list[int]:
        """Epochs after which there is a snapshot, intact or not, rising."""
        return snapshot_epochs(self.folder)

    def first_unusable(self, epochs: tuple[int, ...]) -> tuple[int, UserError] | None:
        """The first of rising epochs whose snapshot is missing or cannot be used, and why; None if all can be."""
        for epoch in epochs:
            try:
                self.load(epoch)
            except UserError as error:
                return epoch, error
        return None

    def keep_only(self, epochs: Collection[int]) -> None:
        """Delete the others; one that another process deletes first is gone as well.

        Raises:
            OSError: if one cannot be deleted.
        """
        for epoch in self.epochs():
            if epoch not in epochs:
                self.path(epoch).unlink(missing_ok=True)


def newest(
    sources: Collection[tuple[Snapshots, int]], device: torch.device | str
) -> Iterator[tuple[int, Snapshot | UserError]]:
    """The snapshots of several folders, newest first, at equal epochs the first folder's; of one unusable, why.

    Args:
        sources: each folder with the latest epoch that is wanted of it.
        device: where tensors are loaded.
    """
    found = [(epoch, source) for source, latest in sources for epoch in source.epochs() if epoch <= latest]
    for epoch, source in sorted(found, key=lambda one: -one[0]):
        try:
            yield epoch, source.load(epoch, device)
        except UserError as error:
            yield epoch, error
