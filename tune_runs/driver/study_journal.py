"""The journal of a study: opened and appended to in whole lines, whatever killed the driver before."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import LOCK_FILE_SUFFIX
from optuna.storages.journal._storage import JournalOperation

from absgd import records
from absgd.errors import UserError
from absgd.paths import is_endless


class WholeLines(JournalFileBackend):
    """A journal without partial lines, also where one could not be written whole, as on a full disk."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append all lines, or none of them.

        Raises:
            OSError: if they cannot be written.
        """
        are_values = all(log["op_code"] == JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE for log in logs)
        size = os.path.getsize(self._file_path)
        try:
            self.append_values(logs) if are_values else super().append_logs(logs)
        except OSError:
            os.truncate(self._file_path, size)
            raise

    def append_values(self, logs: list[dict[str, Any]]) -> None:
        """Append reported values without a wait for the disk, which every report would cost.

        A killed process loses none; a machine that loses power loses the newest, and no draw depends on them before
        their trial has ended, which waits for the disk.
        """
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with open(self._file_path, "ab") as file:
            file.write(lines.encode())


def open_study(path: Path, name: str, *better: Literal["max", "min"]) -> tuple[optuna.Study, JournalStorage]:
    """Open the study of a journal, made when absent; the caller holds the run folder's lock, so its own is stale."""
    path.with_name(path.name + LOCK_FILE_SUFFIX).unlink(missing_ok=True)
    if is_endless(path):
        raise UserError(f"cannot read the study {path}: it is a device or a pipe (--resume)")
    _drop_unfinished_line(path)
    try:
        storage = JournalStorage(WholeLines(str(path)))
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            directions=["maximize" if one == "max" else "minimize" for one in better],
            load_if_exists=True,
        )
    except (ValueError, KeyError) as error:
        raise UserError(f"cannot read the study {path}: damaged: {error} (--resume)") from None
    return study, storage


def _drop_unfinished_line(journal: Path) -> None:
    """Cut off a last line that a kill or a full disk left unfinished, before anything is appended to it."""
    content = journal.read_bytes() if journal.exists() else b""
    if content and not content.endswith(b"\n"):
        records.write_atomically(journal, content[: content.rfind(b"\n") + 1])
