"""Imports without a search for garbage, and without an optional module that takes long."""

from __future__ import annotations

import gc
import importlib.util
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from absgd.whole_imports import as_if_not_installed, import_whole


@pytest.mark.parametrize("name", ["looked_at", "broken"])
def test_garbage_is_looked_for_after_an_import_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "looked_at.py").write_text("import gc\nlooks = gc.isenabled()\n")
    (tmp_path / "broken.py").write_text("import gc\nraise OSError(gc.isenabled())\n")
    if name == "broken":
        with pytest.raises(OSError, match="False"):
            import_whole(name)
    else:
        import_whole(name)
        assert not sys.modules.pop(name).looks
    assert gc.isenabled()


def test_garbage_is_not_looked_for_where_it_was_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "empty.py").touch()
    gc.disable()
    try:
        import_whole("empty")
        assert not gc.isenabled()
    finally:
        gc.enable()
        sys.modules.pop("empty")


def test_module_counts_as_not_installed_in_one_thread_and_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dear_module.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    found: list[bool] = []

    def look_elsewhere() -> None:
        found.append(importlib.util.find_spec("dear_module") is not None)

    with as_if_not_installed("dear_module"):
        with pytest.raises(ModuleNotFoundError, match="dear_module"):
            importlib.import_module("dear_module")
        other = threading.Thread(target=look_elsewhere)
        other.start()
        other.join()
    assert found == [True]
    importlib.import_module("dear_module")
    with as_if_not_installed("dear_module"):
        importlib.import_module("dear_module")


def test_event_files_are_written_without_what_they_need_in_s3() -> None:
    pytest.importorskip("boto3")
    words = "import sys, tune_runs.recording.tensorboard; print('boto3' in sys.modules); import boto3"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
