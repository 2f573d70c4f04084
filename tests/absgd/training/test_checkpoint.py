"""Checkpoints: whole or refused, never executed, and readable by torch and zipfile as they are."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from absgd.errors import UserError
from absgd.training import load_checkpoint, save_checkpoint

STATE = {
    "next_epoch": 3,
    "model": {"w": torch.arange(1000.0), "seen": torch.tensor(7)},
    "note": "text: µ, \n and 'quotes'",
    "nothing": None,
    "milestones": (160, 180),
    "nested": [[0.1, [float("-inf"), True]], (), {"group": [{"lr": 1e-3, "params": [0, 1]}]}],
}
NOT_OURS = "checkpoint .*c.pt was not written by absgd-tune"
DAMAGED = r"checkpoint .*c.pt is damaged, or was written without a checksum by an older version"
COMMENT_BYTES = 7 + 64
END_BYTES = 22


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Path of a checkpoint of STATE."""
    save_checkpoint(tmp_path / "c.pt", STATE)
    return tmp_path / "c.pt"


def with_checksum(archive: bytes) -> bytes:
    """Return an archive with a valid checksum, as a forger would write it."""
    content = archive[:-2] + struct.pack("<H", COMMENT_BYTES)
    return content + b"sha256:" + hashlib.sha256(content).hexdigest().encode()


def saved(state: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, **options)
    return buffer.getvalue()


def regions(content: bytes) -> dict[str, range]:
    """Return the positions of the parts of a checkpoint in its file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {member.filename.split("/", 1)[1]: member for member in archive.infolist()}
        directory = archive.start_dir
    pickled, tensor = members["data.pkl"], members["data/0"]
    data = content.index(STATE["model"]["w"].numpy().tobytes())  # type: ignore[index]
    assert tensor.header_offset < data < directory
    return {
        "pickle": range(pickled.header_offset, pickled.header_offset + pickled.file_size),
        "tensor header": range(tensor.header_offset, data),
        "tensor": range(data, data + tensor.file_size),
        "directory": range(directory, len(content) - COMMENT_BYTES - END_BYTES),
        "end record": range(len(content) - COMMENT_BYTES - END_BYTES, len(content) - COMMENT_BYTES),
        "comment": range(len(content) - COMMENT_BYTES, len(content)),
    }


def same(first: Any, second: Any) -> bool:
    """Whether two states have the same types and bits."""
    if type(first) is not type(second):
        return False
    if isinstance(first, Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def test_round_trip_is_exact(path: Path) -> None:
    assert same(load_checkpoint(path), STATE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.uint8])
def test_round_trip_keeps_bits_of_every_type(tmp_path: Path, dtype: torch.dtype) -> None:
    bytes_N = torch.randint(0, 256, (80,), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tensor = (bytes_N > 127) if dtype == torch.bool else bytes_N.view(dtype)
    save_checkpoint(tmp_path / "c.pt", {"t": tensor, "empty": tensor[:0], "view": tensor[2:4]})
    loaded = load_checkpoint(tmp_path / "c.pt")
    assert loaded["t"].dtype == dtype
    assert loaded["t"].view(torch.uint8).tolist() == tensor.view(torch.uint8).tolist()
    assert loaded["empty"].shape == (0,)
    assert loaded["view"].view(torch.uint8).tolist() == tensor[2:4].view(torch.uint8).tolist()


def test_file_is_opened_by_torch_and_zipfile(path: Path) -> None:
    assert same(torch.load(path, weights_only=True), STATE)
    assert same(torch.load(path, weights_only=True, mmap=True), STATE)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        comment = archive.comment
    content = path.read_bytes()
    assert comment == b"sha256:" + hashlib.sha256(content.removesuffix(comment)).hexdigest().encode()


def test_state_holding_the_signature_of_the_end_of_an_archive_is_read(tmp_path: Path) -> None:
    signature = torch.tensor(list(b"PK\x05\x06" + bytes(18)), dtype=torch.uint8)
    save_checkpoint(tmp_path / "c.pt", {"t": signature, "text": "PK\x05\x06"})
    assert torch.equal(load_checkpoint(tmp_path / "c.pt")["t"], signature)


@pytest.mark.parametrize("region", ["pickle", "tensor header", "tensor", "directory", "end record", "comment"])
def test_flipped_bit_is_found(path: Path, region: str) -> None:
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    where = regions(content)[region]
    for position in rng.choice(where, size=min(len(where), 40), replace=False):
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=DAMAGED):
            load_checkpoint(path)


@pytest.mark.parametrize("kept", [0, 1, 4, 70, 71, 72, 0.1, 0.5, 0.9, -94, -93, -72, -71, -70, -2, -1])
def test_truncation_is_found(path: Path, kept: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(UserError, match=DAMAGED):
        load_checkpoint(path)


def test_appended_bytes_are_found(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(UserError, match=DAMAGED):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "content", [b"hello", bytes(5000), saved(STATE), saved(STATE, _use_new_zipfile_serialization=False)]
)
def test_file_without_checksum_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged, or was written without a checksum"):
        load_checkpoint(path)


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the checkpoint .*absent.pt: No such file"):
        load_checkpoint(tmp_path / "absent.pt")
    with pytest.raises(UserError, match=r"cannot read the checkpoint .*: Is a directory"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("state", [[1, 2], "text", torch.zeros(3), None])
def test_something_other_than_a_mapping_is_refused(path: Path, state: Any) -> None:
    save_checkpoint(path, state)
    with pytest.raises(UserError, match=NOT_OURS):
        load_checkpoint(path)


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(Path(os.environ["BOMB_FOLDER"]) / "exploded"),)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: saved({"model": _Bomb()}), "damaged"),
        (lambda: pickle.dumps(_Bomb()), "damaged"),
        (lambda: with_checksum(saved({"model": _Bomb()})), "was not written by absgd-tune"),
        (lambda: with_checksum(pickle.dumps(_Bomb())), "was not written by absgd-tune"),
        (lambda: with_checksum(pickle.dumps(_Bomb()) + saved({})), "was not written by absgd-tune"),
    ],
    ids=["archive", "pickle", "archive, checksum forged", "pickle, checksum forged", "both, checksum forged"],
)
def test_code_in_a_checkpoint_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[], bytes], message: str
) -> None:
    monkeypatch.setenv("BOMB_FOLDER", str(tmp_path))
    (tmp_path / "c.pt").write_bytes(write())
    with pytest.raises(UserError, match=message):
        load_checkpoint(tmp_path / "c.pt")
    assert not (tmp_path / "exploded").exists()


def test_archive_that_unpacks_to_more_than_it_holds_is_refused(path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as original, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in original.infolist():
            archive.writestr(member.filename, original.read(member), zipfile.ZIP_DEFLATED)
    assert same(torch.load(io.BytesIO(packed.getvalue()), weights_only=True), STATE)
    path.write_bytes(with_checksum(packed.getvalue()))
    with pytest.raises(UserError, match=NOT_OURS):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "code", [b"N.", b"", b"\x80\x02.", b"q", b"\x80\x02h\x05.", b"\x80\x02(e.", b"\x80\x02}U\xffx."]
)
def test_malformed_pickle_with_a_checksum_is_refused(path: Path, code: bytes) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as original, zipfile.ZipFile(packed, "w") as archive:
        for member in original.infolist():
            archive.writestr(member.filename, code if member.filename.endswith(".pkl") else original.read(member))
    path.write_bytes(with_checksum(packed.getvalue()))
    with pytest.raises(UserError, match=NOT_OURS):
        load_checkpoint(path)


def test_read_failure_is_not_reported_as_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(error: Exception) -> Callable[..., None]:
        def load(*_: object, **__: object) -> None:
            raise error

        return load

    monkeypatch.setattr(torch, "load", failing(RuntimeError("DefaultCPUAllocator: can't allocate memory\nmore")))
    with pytest.raises(UserError, match=r"cannot load the checkpoint .*c.pt: DefaultCPUAllocator.*memory$"):
        load_checkpoint(path)
    monkeypatch.setattr(torch, "load", failing(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(torch.OutOfMemoryError):
        load_checkpoint(path)


def test_full_disk_leaves_the_checkpoint_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        save_checkpoint(path, {"next_epoch": 4})
    assert raised.value.errno == errno.ENOSPC
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == before


_SAVING_UNDER_A_LIMIT = """
import os, resource, sys, torch
from pathlib import Path
from absgd.training import save_checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
path = Path(sys.argv[1])
save_checkpoint(path, {"w": torch.zeros(1000)})
try:
    save_checkpoint(path, {"w": torch.zeros(100_000)})
except OSError as error:
    print(type(error).__name__, os.listdir(path.parent))
"""


def test_file_that_cannot_grow_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SAVING_UNDER_A_LIMIT, str(tmp_path / "c.pt")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "OSError ['c.pt']\n"
    assert load_checkpoint(tmp_path / "c.pt")["w"].shape == (1000,)
