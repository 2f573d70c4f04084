"""Imports without a search for garbage."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

from absgd.whole_imports import import_whole


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
