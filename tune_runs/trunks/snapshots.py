"""Snapshots of a run on disk: those of a trunk, from which trials fork, and those from which a run itself resumes.

The file `epoch-0160.pt` is the snapshot after 160 epochs. Each file is complete: the whole state of training, the
records of all epochs so far, the identity of the run, and a checksum over everything. So a reader needs no other file,
and two processes may write the same snapshot at the same time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from absgd.errors import UserError
from absgd.records import epochs_of_snapshots, snapshot_epochs, snapshot_file, write_atomically
from absgd.training.checkpoint import checkpoint_bytes, checkpoint_of, is_intact, load_checkpoint
from tune_runs.file_store.interface import FileStore
from tune_runs.trunks.row_columns import are_columns, rows_of

FORMAT = "6"
"""Format of a snapshot. It changes with the file, and with what the code computes in stage one between two releases."""
FETCHES = 3
"""Times that a snapshot is fetched from a store while it arrives damaged."""
ORIGIN = "origin"
"""Key in a row of a snapshot: the run that trained the epoch."""

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
    """The state of a run after an epoch."""

    state: dict[str, Any]
    """State of training, for `Trainer.load_state_dict`."""
    columns: dict[str, Any]
    """The records of its epochs, each with its `origin`, as `columns_of` makes them."""
    best: dict[str, Any] | None = None
    """State of the model after the best epoch so far, kept in a confirmation for the test set."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The records of its epochs, each with its `origin`."""
        return rows_of(self.columns, self.state["next_epoch"])


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of one run, or of one stage one, on one data set.

    Args:
        folder: folder of the files.
        identity: what every snapshot must agree on.
        survives_power_cut: whether a snapshot is flushed to the disk itself. A killed process loses none either way;
            without flushing, a machine that loses power may lose the newest ones, which their checksums reveal.
        store: has the files, where this node does not see the folder; None: it does.
    """

    folder: Path
    identity: Mapping[str, str]
    survives_power_cut: bool = True
    store: FileStore | None = None

    def path(self, epoch: int) -> Path:
        """Return the file of the snapshot after `epoch` epochs."""
        return self.folder / snapshot_file(epoch)

    def encoded(self, snapshot: Snapshot) -> memoryview:
        """Return the bytes of a snapshot's file."""
        return checkpoint_bytes({"identity": dict(self.identity), **snapshot._asdict()})

    def write(self, epoch: int, content: memoryview) -> None:
        """Write the bytes that `encoded` returned, whole or not at all.

        Raises:
            OSError: if it cannot be written.
        """
        if self.store:
            self.store.put(self.path(epoch), bytes(content))
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path(epoch), content, survives_power_cut=self.survives_power_cut)

    def load(self, epoch: int, device: torch.device | str = "cpu") -> Snapshot:
        """Return the snapshot after `epoch` epochs, its tensors on `device`.

        Raises:
            UserError: if it is missing, damaged, or has another identity.
        """
        path = self.path(epoch)
        content = self._fetched(path, device) if self.store else load_checkpoint(path, device)
        is_ours = {"identity", *Snapshot._fields} <= content.keys()
        if not is_ours or not all(isinstance(content[key], Mapping) for key in ("identity", "state", "columns")):
            raise UserError(f"{path} is not a snapshot of a run")
        for name, expected in self.identity.items():
            if (found := content["identity"].get(name)) != expected:
                raise UserError(f"{path} does not match this run: expected {_IDENTITY[name]} {expected}, got {found}")
        if content["state"].get("next_epoch") != epoch or not are_columns(content["columns"], epoch):
            raise UserError(f"{path} does not match its name: expected a run after {epoch} epochs")
        return Snapshot(content["state"], content["columns"], content["best"])

    def _fetched(self, path: Path, device: torch.device | str) -> dict[str, Any]:
        """Return the content of a file of the store; one that arrives damaged is fetched again.

        Raises:
            UserError: as `load`.
        """
        assert self.store is not None
        try:
            content = self.store.get(path)
            for _ in range(FETCHES - 1):
                if content is not None and not is_intact(content):
                    content = self.store.get(path)
        except OSError as error:
            raise UserError(f"cannot fetch the checkpoint {path}: {error.strerror or error}") from None
        if content is None:
            raise UserError(f"cannot fetch the checkpoint {path}: there is none")
        return checkpoint_of(content, path, device)

    def epochs(self) -> list[int]:
        """Return the epochs after which there is a snapshot, intact or not, rising.

        Raises:
            OSError: if a store does not answer.
        """
        return epochs_of_snapshots(self.store.names(self.folder)) if self.store else snapshot_epochs(self.folder)

    def has(self, epoch: int) -> bool:
        """Whether there is a snapshot after `epoch` epochs, intact or not; not where a store does not answer."""
        with suppress(OSError):
            return epoch in self.epochs()
        return False

    def first_unusable(self, epochs: tuple[int, ...]) -> tuple[int, UserError] | None:
        """Return the first of rising epochs whose snapshot is missing or unusable, and why; None if all are usable."""
        for epoch in epochs:
            try:
                self.load(epoch)
            except UserError as error:
                return epoch, error
        return None

    def keep_only(self, epochs: Collection[int]) -> None:
        """Delete all other snapshots; another process may delete one first.

        Raises:
            OSError: if one cannot be deleted.
        """
        surplus = [self.path(epoch) for epoch in self.epochs() if epoch not in epochs]
        if self.store and surplus:
            self.store.delete(surplus)
            return
        for path in surplus:
            path.unlink(missing_ok=True)


def newest(sources: Collection[tuple[Snapshots, int]], device: torch.device | str) -> Iterator[Snapshot | UserError]:
    """Yield the snapshots of several folders, newest first; instead of unusable ones, the reason.

    At equal epochs the first folder comes first.

    Args:
        sources: each folder with the latest epoch that is wanted from it.
        device: where tensors are loaded.
    """
    found = list[tuple[int, Snapshots]]()
    for source, latest in sources:
        try:
            found += [(epoch, source) for epoch in source.epochs() if epoch <= latest]
        except OSError as error:
            yield UserError(f"cannot list the checkpoints in {source.folder}: {error.strerror or error}")
    for epoch, source in sorted(found, key=lambda one: -one[0]):
        try:
            yield source.load(epoch, device)
        except UserError as error:
            yield error
