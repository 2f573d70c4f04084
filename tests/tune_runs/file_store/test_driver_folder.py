"""The driver's folder as a file store, its actor in this process."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import GetTimeoutError, RayActorError

from tests.contracts.file_stores import FileStoreContract
from tune_runs.file_store import driver_folder
from tune_runs.file_store.driver_folder import DriverFolder


def serve(
    monkeypatch: pytest.MonkeyPatch, has_room: Any = lambda _: True, get: Any = lambda answer, **_: answer
) -> None:
    """Let `ray` call an actor in this process."""
    call = driver_folder._FolderServer(has_room).call
    actor = SimpleNamespace(call=SimpleNamespace(remote=call))
    monkeypatch.setattr(driver_folder, "ray", SimpleNamespace(get_actor=lambda _: actor, get=get))


class TestDriverFolder(FileStoreContract):
    @pytest.fixture
    def store(self, monkeypatch: pytest.MonkeyPatch) -> DriverFolder:
        serve(monkeypatch)
        return DriverFolder("files")


def test_budget_without_room_is_an_error_of_the_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    serve(monkeypatch, has_room=lambda num_bytes: num_bytes < 10)
    store = DriverFolder("files")
    store.put(tmp_path / "x.pt", b"small")
    with pytest.raises(OSError, match="the disk budget leaves no room") as caught:
        store.put(tmp_path / "y.pt", b"longer than ten")
    assert caught.value.errno == errno.EDQUOT
    assert store.names(tmp_path) == ["x.pt"]


@pytest.mark.parametrize("error", [GetTimeoutError("late"), RayActorError(), ValueError("no such actor")])
def test_driver_that_does_not_answer_is_an_error_of_the_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def get(*_: object, timeout: float) -> None:
        raise error

    serve(monkeypatch, get=get)
    with pytest.raises(OSError, match="driver's node"):
        DriverFolder("files").get(tmp_path / "x.pt")
