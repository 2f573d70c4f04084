"""Stage one, trained once: the snapshots that the plain control leaves and trials fork from.

A trunk is a folder of snapshots, `epoch-0160.pt` after 160 epochs. Each is complete in itself: the whole state of
training, the records of the epochs up to it, what it was made with, and a checksum over all of it. So a reader needs
no other file, and two searches may write the same trunk at the same time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from absgd.environment import version_of
from absgd.errors import UserError
from absgd.training import Trainer
from absgd.training.checkpoint import load_checkpoint, save_checkpoint
from tune_runs.plan import TrunkUse
from tune_runs.reports import INHERITED

FORMAT = "1"
"""Of a snapshot. Another one where the file changes, or what the code computes in stage one between two releases."""
_ORIGIN = "origin"
"""Key of a snapshot's records: the search that trained the epoch."""


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
        return self.folder / snapshot_file(epoch)

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
            UserError: if it is missing, damaged, or was made from or with something else.
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

    def first_unusable(self, epochs: tuple[int, ...]) -> int:
        """The first of rising epochs whose snapshot is missing or cannot be used; the last one if all can."""
        for epoch in epochs:
            try:
                self.load(epoch)
            except UserError:
                return epoch
        return epochs[-1]


_NAME = re.compile(r"epoch-(\d+)\.pt")
_IDENTITY = {
    "format": "format",
    "stage_one": "stage one",
    "data": "data set",
    "absgd": "version of absgd-tune",
    "torch": "version of torch",
    "hardware": "kind of processor",
}


def snapshot_file(epoch: int) -> str:
    """Name of the snapshot after so many epochs.

    >>> snapshot_file(160)
    'epoch-0160.pt'
    """
    return f"epoch-{epoch:04d}.pt"


def trunk_identity(stage_one: str, data: str, device: torch.device) -> dict[str, str]:
    """What the snapshots of a trunk must agree on.

    Args:
        stage_one: `stage_one_key` of the runs.
        data: fingerprint of the images.
        device: it trains on; of CPUs the instruction set counts, since it decides bits.
    """
    is_cpu = device.type == "cpu"
    return {
        "format": FORMAT,
        "stage_one": stage_one,
        "data": data,
        "absgd": str(version_of("absgd-tune")),
        "torch": str(torch.__version__),
        "hardware": f"cpu {torch.backends.cpu.get_cpu_capability()}" if is_cpu else device.type,
    }


def trunk_of(use: TrunkUse, device: torch.device) -> Trunk:
    """The trunk of a run, in a folder that trunks of another identity do not share."""
    identity = trunk_identity(use.stage_one, use.data, device)
    digest = hashlib.sha256("\0".join(identity.values()).encode()).hexdigest()
    return Trunk(Path(use.folder) / f"{use.stage_one}-{digest[:8]}", identity)


def are_left(folder: Path, stage_one: str, epochs: Collection[int]) -> bool:
    """Whether some trunk of a stage one has a snapshot after each of `epochs`; what is in them is not looked at."""
    names = {snapshot_file(epoch) for epoch in epochs}
    return any(names <= {path.name for path in trunk.iterdir()} for trunk in folder.glob(f"{stage_one}-*/"))


class Begun(NamedTuple):
    """Where a run starts from."""

    earlier: list[dict[str, Any]]
    """Records of the epochs that it has behind it, each with `inherited`."""
    notes: list[str]
    """A sentence for each snapshot that could not be used."""


class TrunkRun:
    """A run that starts from a trunk's snapshots, and leaves them if it is the trunk's control.

    Args:
        trainer: new.
        use: what it does with the trunk.
    """

    def __init__(self, trainer: Trainer, use: TrunkUse) -> None:
        self._trainer, self._use = trainer, use
        self._trunk = trunk_of(use, trainer.device)
        self._rows: list[dict[str, Any]] = []
        self._has_complained = False

    def begin(self) -> Begun:
        """Bring the trainer to the newest usable snapshot; a damaged or foreign one is named, never used.

        Any snapshot before the switch gives the same run: the epochs between are trained again. A control starts
        before the first snapshot that it has to make, and after its last epoch where there is none to make.

        Raises:
            UserError: if a snapshot that is whole does not fit the trainer.
        """
        latest = self._trunk.first_unusable(self._use.save_at) if self._use.save_at else self._use.start_at
        notes = []
        for _, found in self._trunk.up_to(latest, self._trainer.device):
            if isinstance(found, Snapshot):
                self._trainer.load_state_dict(found.state)
                self._rows = found.rows
                break
            notes.append(f"{found}: trained again")
        started = len(self._rows)
        if not self._use.save_at and started < self._use.start_at:
            notes.append(f"starts from epoch {started} instead of {self._use.start_at}")
        return Begun([self._as_earlier(row) for row in self._rows], notes)

    def leave(self, row: dict[str, Any]) -> list[str]:
        """Take the record of an epoch just trained and save a snapshot, if one is due after it.

        A full disk costs trials the epochs that they must train themselves, not the search: what cannot be written is
        named, the first time.
        """
        if not self._use.save_at:
            return []
        self._rows = [*self._rows, {**row, _ORIGIN: self._use.origin}]
        epoch = self._trainer.next_epoch
        if epoch not in self._use.save_at:
            return []
        try:
            self._trunk.save(epoch, Snapshot(self._trainer.state_dict(), self._rows))
        except OSError as error:
            return self._complaint(f"cannot write {self._trunk.path(epoch)}: {error.strerror or error}")
        return []

    def _complaint(self, problem: str) -> list[str]:
        said = [] if self._has_complained else [f"{problem}: trials train what they find no snapshot of"]
        self._has_complained = True
        return said

    def _as_earlier(self, row: dict[str, Any]) -> dict[str, Any]:
        """A fork trained none of them; a control those that its own search trained before it was interrupted."""
        columns = {key: value for key, value in row.items() if key != _ORIGIN}
        return {**columns, INHERITED: not self._use.save_at or row[_ORIGIN] != self._use.origin}
