"""A run of a search in its own process: the snapshot that it starts from, and those that it writes as it trains.

It starts from the newest usable snapshot: its own, written before its process or its driver died, or one of the trunk
that holds its stage one. It writes its own at the pace of `CheckpointPace`; the control of a trunk also writes those
that trials fork from.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from absgd.config import RunConfig
from absgd.counts import after_epochs
from absgd.records import EpochRecord, chosen_epoch
from absgd.records.environment import version_of
from absgd.training import Trainer
from tune_runs.file_store.interface import FileStore
from tune_runs.trial.checkpoint_pace import CheckpointPace
from tune_runs.trial.disk_budget import check_room
from tune_runs.trial.trial_plan import CheckpointUse
from tune_runs.trial.trial_reports import ReportedEpoch
from tune_runs.trunks.identity import trunk_snapshots
from tune_runs.trunks.row_columns import with_row
from tune_runs.trunks.snapshots import FORMAT, ORIGIN, Snapshot, Snapshots, newest
from tune_runs.trunks.trunk_use import TrunkUse


class StartPoint(NamedTuple):
    """Where a run starts from."""

    earlier: tuple[ReportedEpoch, ...]
    """Epochs restored from a snapshot."""
    notes: tuple[str, ...]
    """A sentence for each snapshot that could not be used."""


class SaveResult(NamedTuple):
    """How writing the snapshots of an epoch ended."""

    notes: tuple[str, ...]
    """A sentence for the first snapshot of the run that could not be written."""
    is_over_budget: bool
    """Whether the disk budget left no room for a snapshot."""


class TrialRun:
    """The snapshots of one run: the one that it starts from, and those that it writes.

    Args:
        trainer: a new one.
        trunk: how the run uses a trunk; None: it shares its stage one with no other run.
        checkpoints: where it saves its own snapshots; None: nowhere.
        origin: names the run in the rows of its snapshots.
        metric: chooses the best epoch, inherited ones included, whose model is kept for the test set; None: no model
            is kept.
        store: has the files of the run folder, where this node does not see it; None: it does.
    """

    def __init__(
        self,
        trainer: Trainer,
        trunk: TrunkUse | None = None,
        checkpoints: CheckpointUse | None = None,
        origin: str = "",
        metric: str | None = None,
        store: FileStore | None = None,
    ) -> None:
        self._trainer, self._trunk_use, self.use, self.store = trainer, trunk, checkpoints, store
        self._trunk = trunk_snapshots(trunk, trainer.device, store) if trunk else None
        self._own = own_snapshots(trainer.config, Path(checkpoints.folder), store) if checkpoints else None
        self._due = trunk.save_at if trunk else ()
        self._origin = origin
        self._metric = metric
        self._rows: list[dict[str, Any]] = []
        self._columns: dict[str, Any] = {}
        self.best: dict[str, Any] | None = None
        """State of the model after the best epoch so far; None where it is not kept."""
        self._has_complained = False
        self._pace = CheckpointPace()

    @property
    def best_is_last(self) -> bool:
        """Whether the best epoch is the last one of the whole run."""
        best = chosen_epoch(self._rows, self._metric) if self._metric else None
        return best is not None and bool(best["epoch"] == self._trainer.config.epochs - 1)

    def begin(self) -> StartPoint:
        """Restore the trainer from the newest usable snapshot; a damaged or foreign one is named in a note, never used.

        Every snapshot before the switch gives the same run: the epochs between are trained again. A control starts
        before the first snapshot that it has to write, and after its last epoch where all of them exist.

        Raises:
            UserError: if a snapshot that is whole does not fit the trainer.
        """
        to_make = self._trunk.first_unusable(self._due) if self._trunk else None
        is_damaged = self._trunk and to_make and self._trunk.has(to_make[0])
        notes = [f"{to_make[1]}: trained again"] if to_make and is_damaged else []
        latest = to_make[0] - 1 if to_make else self._trainer.config.epochs
        for found in newest(self._sources(latest), self._trainer.device):
            if isinstance(found, Snapshot) and (found.best or not self._metric):
                self._trainer.load_state_dict(found.state)
                self._rows, self._columns, self.best = found.rows, found.columns, found.best
                break
            if not isinstance(found, Snapshot):
                notes.append(f"{found}: trained again")
        fork = self._trunk_use.start_at if self._trunk_use and not self._due else 0
        if len(self._rows) < fork:
            notes.append(f"starts {after_epochs(len(self._rows))} instead of {fork}")
        return StartPoint(tuple(map(self._restored, self._rows)), tuple(notes))

    def save(self, record: EpochRecord) -> SaveResult:
        """Take the record of an epoch just trained and write the snapshots that are due after it.

        A full disk costs epochs that must be trained again after a failure, not the search: the first snapshot that
        cannot be written is named. Older snapshots of the run are deleted only once the new one is written.
        """
        row = {**dataclasses.asdict(record), ORIGIN: self._origin}
        self._rows, self._columns = [*self._rows, row], with_row(self._columns, row)
        epoch = self._trainer.next_epoch
        self._keep_best()
        targets = [self._trunk] if self._trunk and epoch in self._due else []
        is_last = epoch == self._trainer.config.epochs
        if self._own and (self._pace.is_due(record.train_s + record.val_s) or is_last):
            targets.append(self._own)
        if not targets:
            return SaveResult((), is_over_budget=False)
        snapshot = Snapshot(self._trainer.state_dict(), self._columns, self.best)
        notes, is_over_budget = list[str](), False
        for target in targets:
            try:
                with self._pace.saving():
                    self._write(target, epoch, snapshot)
            except OSError as error:
                notes += self._complaint(f"cannot write {target.path(epoch)}: {error.strerror or error}")
                is_over_budget |= error.errno == errno.EDQUOT
        return SaveResult(tuple(notes), is_over_budget)

    def _keep_best(self) -> None:
        """Copy the model where `chosen_epoch` chooses the epoch just trained."""
        best = chosen_epoch(self._rows, self._metric) if self._metric else None
        if best and best["epoch"] == self._rows[-1]["epoch"]:
            self.best = {name: value.clone() for name, value in self._trainer.model.state_dict().items()}

    def _sources(self, latest: int) -> list[tuple[Snapshots, int]]:
        """Return the folders to start from, each with the latest epoch whose snapshot may be used."""
        own = [(self._own, latest)] if self._own else []
        if self._trunk is None or self._trunk_use is None:
            return own
        return [*own, (self._trunk, latest if self._due else self._trunk_use.start_at)]

    def _write(self, target: Snapshots, epoch: int, snapshot: Snapshot) -> None:
        """Write a snapshot; of the run's own, keep the last two and the best of those that were written.

        Raises:
            OSError: if it cannot be written; EDQUOT where the disk budget leaves no room.
        """
        content = target.encoded(snapshot)
        if self.use and not self.store:
            check_room(self.use, len(content))
        target.write(epoch, content)
        if target is self._own and self.use:
            written = target.epochs()
            before = [one for one in written if one < epoch][-1:]
            target.keep_only({*before, epoch, self._best_epoch(self.use.metric, written)})

    def _complaint(self, problem: str) -> list[str]:
        said = [] if self._has_complained else [f"{problem}: epochs without a snapshot are trained again"]
        self._has_complained = True
        return said

    def _best_epoch(self, metric: str, written: Collection[int]) -> int:
        """Return the epochs done after the best epoch with a snapshot that the run trained itself; 0: there is none."""
        own = (row for row in self._rows if row[ORIGIN] == self._origin and row["epoch"] + 1 in written)
        best = chosen_epoch(own, metric)
        return int(best["epoch"]) + 1 if best else 0

    def _restored(self, row: dict[str, Any]) -> ReportedEpoch:
        """Return an epoch of a snapshot; those of the run's own origin it trained itself, before it was interrupted."""
        columns = {key: value for key, value in row.items() if key != ORIGIN}
        return ReportedEpoch(EpochRecord(**columns), is_inherited=row[ORIGIN] != self._origin)


def own_snapshots(config: RunConfig, folder: Path, store: FileStore | None = None) -> Snapshots:
    """Return the snapshots that a run writes for itself, from which it may resume on another kind of processor."""
    text = json.dumps(config.decisive(), sort_keys=True)
    identity = {
        "format": FORMAT,
        "run": hashlib.sha256(text.encode()).hexdigest()[:16],
        "absgd": str(version_of("absgd-tune")),
    }
    return Snapshots(folder, identity, survives_power_cut=False, store=store)
