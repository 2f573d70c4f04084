"""Checkpoints: whole or refused, and never executed."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from absgd.errors import UserError
from absgd.training import load_checkpoint, save_checkpoint

STATE = {"next_epoch": 3, "model": {"w": torch.arange(1000.0)}, "note": "text", "nothing": None}


def test_round_trip_is_exact(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", STATE)
    loaded = load_checkpoint(tmp_path / "c.pt")
    assert torch.equal(loaded["model"]["w"], STATE["model"]["w"])  # type: ignore[index]
    assert {key: loaded[key] for key in ("next_epoch", "note", "nothing")} == {
        "next_epoch": 3,
        "note": "text",
        "nothing": None,
    }


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_damage_is_found(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, STATE)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes({"empty": b"", "text": b"hello"}.get(damage, bytes(content)))
    with pytest.raises(UserError, match=r"checkpoint .*c.pt is damaged"):
        load_checkpoint(path)


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the checkpoint .*absent.pt: No such file"):
        load_checkpoint(tmp_path / "absent.pt")


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(Path(os.environ["BOMB_FOLDER"]) / "exploded"),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOMB_FOLDER", str(tmp_path))
    torch.save({"model": _Bomb()}, tmp_path / "zip.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(_Bomb()))
    for name in ("zip.pt", "plain.pt"):
        with pytest.raises(UserError, match="damaged"):
            load_checkpoint(tmp_path / name)
    assert not (tmp_path / "exploded").exists()
