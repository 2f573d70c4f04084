"""Checkpoints: written whole or not at all, read without executing anything."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from absgd.archives import check_archive
from absgd.errors import UserError
from absgd.records import write_atomically


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, mappings and lists of them) to `path` atomically."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The state saved at `path`, tensors on `device`; never runs code from the file.

    Raises:
        UserError: if the file is missing, damaged, or holds anything but plain data and tensors.
    """
    try:
        check_archive(path)
        state = torch.load(path, map_location=device, weights_only=True)
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error.strerror or error}") from None
    except (RuntimeError, EOFError, ValueError, zipfile.BadZipFile, pickle.UnpicklingError):
        raise UserError(f"the checkpoint {path} is damaged: delete it to start this run again") from None
    if not isinstance(state, dict):
        raise UserError(f"the checkpoint {path} is not one of absgd-train")
    return state
