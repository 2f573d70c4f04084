"""Checkpoints: written whole or not at all, read only if their checksum is right, without executing anything.

A checkpoint is the zip archive that torch.save writes. Its comment, the last bytes of the file, is `sha256:` and the
digest of every byte before it; torch.load and zipfile open the file like any other.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch

from absgd.errors import UserError
from absgd.paths import PathLike, is_endless
from absgd.records import write_atomically

CHECKSUM_PREFIX = b"sha256:"
CHECKSUM_BYTES = len(CHECKSUM_PREFIX) + 2 * hashlib.sha256().digest_size

_LOCAL_HEADER = b"PK\x03\x04"
_END_RECORD = b"PK\x05\x06"
_END_RECORD_BYTES = 22
"""Size of the record that ends an archive; its last two bytes are the length of the comment that follows."""

_MALFORMED = (
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
    zipfile.BadZipFile,
    pickle.UnpicklingError,
)
"""Errors that torch.load raises for content that is no pickle or asks for more than plain data and tensors."""


def save_checkpoint(path: PathLike, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, mappings, lists and tuples of them) to `path` atomically, with a checksum.

    Needs memory for one copy of the file in addition to the state.

    Raises:
        OSError: if it cannot be written, as on a full disk (`errno.ENOSPC`); an earlier checkpoint at `path`
            remains, and no partial file does.
    """
    write_atomically(path, checkpoint_bytes(state))


def checkpoint_bytes(state: dict[str, Any]) -> memoryview:
    """The bytes that `save_checkpoint` writes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    _append_checksum(buffer)
    return memoryview(buffer.getvalue())  # without a copy


def load_checkpoint(path: PathLike, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return the state saved at `path`, tensors on `device`; never runs code from the file.

    The file is read once: the bytes that are verified are the bytes that are loaded.

    Raises:
        UserError: if the file is missing, damaged, without a checksum, or holds anything but plain data and tensors.
        torch.OutOfMemoryError: if `device` has no room for the tensors.
    """
    path = Path(path)
    if is_endless(path):
        raise UserError(f"cannot read the checkpoint {path}: it is a device or a pipe")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error.strerror or error}") from None
    return checkpoint_of(content, path, device)


def checkpoint_of(content: bytes, path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return the state in the bytes of a checkpoint, as `load_checkpoint` does.

    Args:
        content: the whole file.
        path: where it was read, for messages.
        device: place of the tensors.

    Raises:
        UserError, torch.OutOfMemoryError: as `load_checkpoint`, of a file that exists.
    """
    if not is_intact(content):
        raise UserError(f"the checkpoint {path} is damaged, or was written without a checksum by an older version")
    state = _loaded(path, content, device)
    if not isinstance(state, dict):
        raise _not_ours(path)
    return state


def _append_checksum(archive: io.BytesIO) -> None:
    """Append the checksum of an archive without a comment as its comment."""
    archive.seek(-_END_RECORD_BYTES, io.SEEK_END)
    end_record = archive.read()
    assert end_record.startswith(_END_RECORD), "torch.save wrote no archive"
    assert end_record.endswith(b"\0\0"), "torch.save wrote a comment"
    archive.seek(-2, io.SEEK_END)
    archive.write(struct.pack("<H", CHECKSUM_BYTES))
    with archive.getbuffer() as content:
        comment = _checksum(content)
    archive.write(comment)


def is_intact(content: bytes) -> bool:
    """Whether the bytes of a checkpoint have the checksum that they end with."""
    with memoryview(content) as view:
        return view[-CHECKSUM_BYTES:] == _checksum(view[:-CHECKSUM_BYTES])


def _checksum(content: memoryview) -> bytes:
    return CHECKSUM_PREFIX + hashlib.sha256(content).hexdigest().encode()


def _loaded(path: Path, content: bytes, device: torch.device | str) -> object:
    """Content of an archive with the right checksum, which was read from `path`."""
    try:
        if _unpacks_to_more(content):
            raise _not_ours(path)
        loaded: object = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except (UserError, torch.OutOfMemoryError):
        raise
    except RuntimeError as error:  # of the device or the memory: the bytes are intact
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"cannot load the checkpoint {path}: {reason}") from None
    except _MALFORMED:
        raise _not_ours(path) from None
    return loaded


def _not_ours(path: Path) -> UserError:
    return UserError(f"the checkpoint {path} was not written by absgd-tune")


def _unpacks_to_more(content: bytes) -> bool:
    """Whether an archive may need more memory than its size: torch.save compresses nothing and shares no bytes."""
    if not content.startswith(_LOCAL_HEADER):
        return True
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    return not stored or sum(member.file_size for member in members) > len(content)
