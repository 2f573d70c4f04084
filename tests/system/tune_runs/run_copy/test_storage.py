"""Storages in a folder and on a real S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from absgd.errors import UserError
from tests.support.s3_server import ENVIRONMENT, S3Server, s3_address, s3_server
from tune_runs.run_copy import storage as storage_module
from tune_runs.run_copy.storage import Storage

CONTENT = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path, server: S3Server) -> str:
    return server.address() if request.param == "s3" else f"file://{tmp_path}/storage"


def test_files_come_back_replaced_listed_and_deleted(address: str) -> None:
    storage = Storage(address, "a run")
    assert storage.names() == []
    assert storage.get("a/b.pt") is None
    storage.delete("a/b.pt")
    storage.check()
    storage.put("a/b.pt", b"earlier")
    storage.put("a/b.pt", CONTENT)
    storage.put("c.zip", b"")
    assert storage.get("a/b.pt") == CONTENT
    assert sorted(storage.names()) == ["a/b.pt", "c.zip"]
    assert Storage(address, "another run").names() == []
    storage.delete("a/b.pt")
    assert storage.names() == ["c.zip"]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("nonsense://x/y", "Unrecognized filesystem type"),
        ("runs/elsewhere", "URI has empty scheme"),
        ("s3://bucket/x?colour=red", "Unexpected query parameter"),
        ("file:///mnt/\ud800", "surrogates not allowed"),
        ("", "empty scheme"),
    ],
)
def test_address_that_is_none_is_refused(address: str, problem: str) -> None:
    with pytest.raises(UserError, match=rf"expected the address of a storage, got .*{problem}.* \(--storage\)$"):
        Storage(address, "run")


def test_bucket_without_permission_is_refused(server: S3Server) -> None:
    storage = Storage(server.address(), "run")
    refused = pytest.raises(UserError, match=r"expected a storage that can be written, got .*INVALID_ACCESS_KEY_ID")
    with server.permissions_checked(), refused:
        storage.check()


def test_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(UserError, match=r"without a password.*\(--storage\)$") as caught:
        Storage("s3://key:hunter2@bucket/runs", "run")
    assert "hunter2" not in str(caught.value)


def test_address_without_a_bucket_is_refused() -> None:
    with pytest.raises(UserError, match=r"with a bucket or a folder, got 's3://\?region=us-east-1' \(--storage\)"):
        Storage("s3://?region=us-east-1", "run")


def test_bucket_that_does_not_exist_is_refused(server: S3Server) -> None:
    storage = Storage(server.address("other"), "run")
    with pytest.raises(UserError, match=r"expected a storage that can be written, got .*NO_SUCH_BUCKET"):
        storage.check()


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="expected a storage that can be written"):
        Storage(f"file://{tmp_path}/file", "run").check()


def test_storage_that_does_not_answer_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "ANSWER_S", 0.2)
    with pytest.raises(UserError, match=r"no answer within 0\.2 s"):
        Storage(s3_address(port=1), "run").check()
