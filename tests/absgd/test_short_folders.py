"""Sockets have short paths even where the temporary folder has a long one."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import socket
import tempfile
from pathlib import Path

import pytest

from absgd.short_folders import MOST_BYTES, fits, short_link_to, shorten_socket_paths


def long_folder(tmp_path: Path) -> Path:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    return folder


def test_limit_is_that_of_the_system(tmp_path: Path) -> None:
    assert fits("/" + "x" * 40, "/" + "y" * (MOST_BYTES - 42))
    assert not fits("/" + "x" * 40, "/" + "ü" * (MOST_BYTES // 2))
    name = "/s"
    folder = long_folder(tmp_path)
    assert not fits(str(folder), name)
    with socket.socket(socket.AF_UNIX) as one, pytest.raises(OSError, match="too long"):
        one.bind(f"{folder}{name}")


def test_link_leads_to_the_folder_and_goes(tmp_path: Path) -> None:
    folder = long_folder(tmp_path)
    with short_link_to(str(folder)) as link, socket.socket(socket.AF_UNIX) as one:
        one.bind(f"{link}/s")
        assert (folder / "s").is_socket()
    assert not Path(link).parent.exists()
    assert folder.is_dir()


def test_multiprocessing_gets_a_short_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    monkeypatch.setitem(config, "tempdir", None)
    monkeypatch.setattr(tempfile, "tempdir", str(long_folder(tmp_path)))
    shorten_socket_paths()
    assert fits(multiprocessing.util.get_temp_dir(), "/listener-12345678")
    assert tempfile.gettempdir() == str(tmp_path / ("x" * 100)), "other files stay where they belong"


def test_short_temporary_folder_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    monkeypatch.setitem(config, "tempdir", None)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    shorten_socket_paths()
    assert config["tempdir"] is None
