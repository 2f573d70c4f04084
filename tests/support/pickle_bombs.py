"""Pickles that leave a mark when they are loaded, in every form that a run folder's reader might unpickle."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from absgd import records
from absgd.training import checkpoint


class Bomb:
    """An object whose pickle creates the folder `mark` when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def bombs(mark: Path) -> dict[str, bytes]:
    """Return, by form, the content of a file whose unpickling creates `mark`."""
    bomb = Bomb(mark)
    state = {"next_epoch": bomb, "identity": bomb, "state": bomb, "rows": bomb, "model": bomb, "split_hash": bomb}
    archive = _saved(lambda file: torch.save(state, file))
    with_checksum = io.BytesIO(archive)
    checkpoint._append_checksum(with_checksum)
    return {
        "pickle": pickle.dumps(bomb),
        "line": pickle.dumps(bomb, protocol=0) + b"\n",
        "archive": archive,
        "checkpoint": with_checksum.getvalue(),
        "old_torch": _saved(lambda file: torch.save(bomb, file, _use_new_zipfile_serialization=False)),
        "numpy": _saved(lambda file: np.save(file, np.array([bomb], dtype=object), allow_pickle=True)),
        "yaml": f"!!python/object/apply:os.mkdir [{mark}]\n".encode(),
        "trials": _saved(lambda file: pq.write_table(_with_extension(records.TRIAL_SCHEMA, bomb), file)),
        "epochs": _saved(lambda file: pq.write_table(_with_extension(records.EPOCH_SCHEMA, bomb), file)),
    }


def _saved(write: Callable[[io.BytesIO], Any]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _with_extension(schema: pa.Schema, bomb: Bomb) -> pa.Table:
    """Return an empty table whose columns claim a pickled type, which older pyarrow unpickled on reading."""
    claimed = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(bomb),
    }
    return pa.schema([field.with_metadata(claimed) for field in schema]).empty_table()


SPARE_NAMES = (
    "state.pkl", "params.pkl", "tuner.pkl", "trainable.pkl", "checkpoint.pkl", ".tune_metadata", "data.pickle",
    "model.pt", "best.pt", "last.pt", "optimizer.pth", "splits.npy", "searcher-state-1.pkl",
    "search_gen_state-1.json", "experiment_state-1.json", "basic-variant-state-1.json", "callback_states.pkl",
    "study.db", "study.journal.snapshot", "metadata", "__init__.py", "torch.py", "absgd.py", "sitecustomize.py",
    "conftest.py",
)  # fmt: skip
"""Names of files that this project never writes but a program may look for."""


def plant_spares(folder: Path, mark: Path) -> list[Path]:
    """Write bombs under those SPARE_NAMES that a folder does not have."""
    script = f"import os\nos.makedirs({str(mark)!r}, exist_ok=True)\n".encode()
    planted = [folder / name for name in SPARE_NAMES if not (folder / name).exists()]
    for path in planted:
        path.write_bytes(script if path.suffix == ".py" else bombs(mark)["pickle"])
    return planted
