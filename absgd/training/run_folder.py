"""The record of a single run on disk: config, environment, trial row, epochs, last and best checkpoint."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from absgd import records
from absgd.config import RunConfig
from absgd.config.locations import Moves, check_places, warn_of_unused_moves, with_moved_paths
from absgd.counts import plural
from absgd.datasets import class_sizes
from absgd.errors import UserError
from absgd.paths import PathLike
from absgd.records import EpochRecord, Status, TestMetrics
from absgd.records.environment import add_session
from absgd.training.checkpoint import load_checkpoint, save_checkpoint
from absgd.training.device import gpu_names
from absgd.training.trainer import Trainer
from absgd.yaml_text import read_yaml


class RunFolder:
    """Files of one `absgd-train` run; complete after every epoch, so that a killed run can be resumed.

    trials.parquet (one row, phase `single`) and epochs.parquet have the same columns as those of a search.
    """

    def __init__(self, path: PathLike, config: RunConfig, metric: str = records.DEFAULT_METRIC) -> None:
        self.path = Path(path)
        self.config = config
        self.metric = metric
        self._rows: list[dict[str, Any]] = []
        self._test: dict[str, Any] = {}
        self._earlier_s = 0.0
        self._started_at = datetime.now(UTC)
        self._session_started = time.monotonic()

    @classmethod
    def create(cls, path: PathLike, trainer: Trainer, metric: str = records.DEFAULT_METRIC) -> RunFolder:
        """Create a folder at `path` for the run of `trainer`, which has not begun.

        Raises:
            UserError: if it exists or cannot be written.
        """
        path = Path(path)
        if path.exists():
            raise UserError(f"{path} exists: continue it with `--resume {path}` or give another `--out`")
        try:
            path.mkdir(parents=True)
            records.write_atomically(path / records.CONFIG_FILE, trainer.config.to_yaml())
            splits = trainer.splits
            labels = records.label_table(splits.train_index_N, splits.train.labels_N, splits.changed_N)
            records.write_table(path / records.LABELS_FILE, labels)
            records.write_table(path / records.CLASSES_FILE, class_sizes(trainer.config, splits))
            add_session(path / records.ENVIRONMENT_FILE, gpu_names())
        except OSError as error:
            raise UserError(f"cannot write to {path}: {error.strerror or error} (--out)") from None
        folder = cls(path, trainer.config, metric)
        folder.write_status("running", trainer)
        return folder

    @classmethod
    def open(cls, path: PathLike, moves: Moves | None = None) -> RunFolder:
        """Open the folder of an earlier run.

        Args:
            path: the folder, wherever it is now.
            moves: paths of its config that have moved since.

        Raises:
            UserError: if `path` holds no run, or a path of its config no longer exists.
        """
        path = Path(path)
        if not (path / records.CONFIG_FILE).is_file():
            raise UserError(f"expected a run folder with {records.CONFIG_FILE}, found none in {path} (--resume)")
        recorded = _recorded_config(path / records.CONFIG_FILE)
        warn_of_unused_moves(moves or {}, [recorded.to_dict()])
        config = RunConfig.from_dict(with_moved_paths(recorded.to_dict(), moves or {}), records.CONFIG_FILE)
        check_places(config.to_dict(), "--resume")
        if config != recorded:
            records.write_atomically(path / records.CONFIG_FILE, config.to_yaml())
        folder = cls(path, config)
        earlier = records.read_rows(path / records.TRIALS_FILE, records.TRIAL_SCHEMA)
        add_session(path / records.ENVIRONMENT_FILE, gpu_names())
        if earlier:
            folder._take_over(earlier[0])
        return folder

    def _take_over(self, row: Mapping[str, Any]) -> None:
        """Continue from the trial row of an earlier session."""
        absent = [name for name in ("metric", "started_at", "wall_s") if row[name] is None]
        if absent or row["metric"] not in records.METRICS:
            wrong = absent[0] if absent else "metric"
            raise UserError(f"cannot read {self.path / records.TRIALS_FILE}: `{wrong}` is {row[wrong]!r}")
        self.metric, self._started_at, self._earlier_s = row["metric"], row["started_at"], row["wall_s"]
        self._test = {field.name: row[field.name] for field in dataclasses.fields(TestMetrics)}

    @property
    def last_recall(self) -> Sequence[float | None] | None:
        """Recall of each class on validation after the last recorded epoch; None before the first."""
        return self._rows[-1]["val_recall"] if self._rows else None

    @property
    def can_continue(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        return any((self.path / name).is_file() for name in (records.LAST_CHECKPOINT, records.PREVIOUS_CHECKPOINT))

    def restore(self, trainer: Trainer) -> None:
        """Restore `trainer` to where the run stopped, or to the epoch before if the last checkpoint is damaged.

        Raises:
            UserError: if both checkpoints are damaged, or belong to another run.
        """
        trainer.load_state_dict(self._newest_state(trainer.device))
        rows = records.read_rows(self.path / records.EPOCHS_FILE, records.EPOCH_SCHEMA)
        self._rows = [{**row, **self._keys()} for row in rows if row["epoch"] < trainer.next_epoch]
        if [row["epoch"] for row in self._rows] != list(range(trainer.next_epoch)):
            first = plural(trainer.next_epoch, "epoch")
            raise UserError(f"expected the first {first} in {self.path / records.EPOCHS_FILE} (--resume)")
        if any(row["trial_id"] != self.path.name for row in rows):  # the folder has a new name
            records.write_table(self.path / records.EPOCHS_FILE, records.as_table(records.EPOCH_SCHEMA, self._rows))

    def _newest_state(self, device: torch.device) -> dict[str, Any]:
        problems = []
        for name in (records.LAST_CHECKPOINT, records.PREVIOUS_CHECKPOINT):
            if (self.path / name).is_file():
                try:
                    state = load_checkpoint(self.path / name, device)
                except UserError as error:
                    problems.append(str(error))
                    continue
                for problem in problems:
                    warnings.warn(f"{problem}: using the one before it", stacklevel=2)
                return state
        raise UserError(f"{'; '.join(problems)}: delete the damaged files to start this run again")

    def add_epoch(self, record: EpochRecord, trainer: Trainer) -> None:
        """Write an epoch: its row first, then the checkpoint that makes it count."""
        self._rows.append({**self._keys(), **dataclasses.asdict(record), records.INHERITED: False})
        records.write_table(self.path / records.EPOCHS_FILE, records.as_table(records.EPOCH_SCHEMA, self._rows))
        self.write_status("running", trainer)
        state = trainer.state_dict()
        best = records.chosen_epoch(self._rows, self.metric)
        if best is not None and best["epoch"] == record.epoch:
            save_checkpoint(self.path / records.BEST_CHECKPOINT, state)
        last = self.path / records.LAST_CHECKPOINT
        if last.exists():
            last.replace(self.path / records.PREVIOUS_CHECKPOINT)
        save_checkpoint(last, state)

    def write_predictions(self, table: pa.Table) -> None:
        """Write the predictions of the run after its last epoch.

        Raises:
            OSError: if they cannot be written.
        """
        file = records.predictions_file(self.path, self.path.name)
        file.parent.mkdir(exist_ok=True)
        records.write_table(file, table)

    def write_status(
        self, status: Status, trainer: Trainer, error: str | None = None, test: TestMetrics | None = None
    ) -> None:
        """Write the one row of trials.parquet; test metrics, once measured, stay in it."""
        self._test = dataclasses.asdict(test) if test else self._test
        row = {
            **self._keys(),
            "phase": "single",
            "status": status,
            "error": error,
            **records.config_columns(self.config),
            **records.summary_columns(list(self._rows), self.metric),
            **self._test,
            "wall_s": self._earlier_s + time.monotonic() - self._session_started,
            "started_at": self._started_at,
            "class_counts": trainer.splits.class_counts,
            "split_hash": trainer.splits.hash,
            "stage_one_key": self.config.stage_one_key(),
        }
        records.write_table(self.path / records.TRIALS_FILE, records.as_table(records.TRIAL_SCHEMA, [row]))

    def _keys(self) -> dict[str, Any]:
        return {"run": self.path.name, "scenario": None, "trial_id": self.path.name}


def _recorded_config(path: Path) -> RunConfig:
    """Return the config of an earlier run, which records every setting that its version had."""
    settings = read_yaml(path)
    return RunConfig.from_dict(
        records.with_earlier_defaults(settings) if isinstance(settings, dict) else settings, str(path)
    )
