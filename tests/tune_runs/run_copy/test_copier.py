"""A run folder copied and restored: everything arrives, and a storage that fails ends nothing."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from absgd.errors import UserError
from tune_runs.run_copy import copier as copier_module
from tune_runs.run_copy.copied_files import OWNER_FILE, RECORDS_FILE
from tune_runs.run_copy.copier import RunCopier, check_copy, copied_run
from tune_runs.run_copy.restoring import restore_run
from tune_runs.run_copy.storage import Storage, StorageFailed

SNAPSHOT = "scenarios/a/checkpoints/a-0001/epoch-0002.pt"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs/one"
    files = {
        "space.yaml": "name: one",
        ".id": "abc",
        ".lock": "",
        "environment.json": json.dumps({"sessions": [{}]}),
        "trials.parquet": "tables",
        ".trials.parquet.k2_w9x0a": "unfinished",
        ".pending/a-0001.json": "{}",
        "scenarios/a/study.journal": "journal",
        SNAPSHOT: "snapshot",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"file://{tmp_path}/storage"


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_restored_run_has_every_file_but_locks_and_unfinished_ones(run: Path, address: str, tmp_path: Path) -> None:
    with copied_run(run, address):
        pass
    restored = tmp_path / "elsewhere/one"
    assert restore_run(restored, address)
    expected = contents(run)
    del expected[".lock"], expected[".trials.parquet.k2_w9x0a"]
    assert contents(restored) == expected
    assert [path.name for path in restored.parent.iterdir()] == ["one"]
    (restored / "trials.parquet").write_text("newer")
    assert not restore_run(restored, address), "a folder that is there is left alone"
    assert (restored / "trials.parquet").read_text() == "newer"


def test_copy_is_made_when_it_is_time_and_drops_snapshots_that_the_search_has_deleted(run: Path, address: str) -> None:
    storage = Storage(address, "one")
    copier = RunCopier(run, storage, every_s=1000.0)
    copier.step()
    assert copier._thread is not None
    copier._thread.join()
    (run / SNAPSHOT).rename((run / SNAPSHOT).with_name("epoch-0003.pt"))
    copier.step()  # not yet
    assert SNAPSHOT in storage.names()
    copier.close()
    assert sorted(storage.names()) == [OWNER_FILE, RECORDS_FILE, SNAPSHOT.replace("0002", "0003")]


@pytest.mark.parametrize("has_begun", [True, False])
def test_search_that_fails_is_copied_if_it_had_begun(run: Path, address: str, has_begun: bool) -> None:
    def fail() -> None:
        with copied_run(run, address) as copier:
            assert copier is not None
            if has_begun:
                copier.step()
                (run / "trials.parquet").write_text("newer")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    storage = Storage(address, "one")
    assert sorted(storage.names()) == ([OWNER_FILE, RECORDS_FILE, SNAPSHOT] if has_begun else [])
    assert b"newer" in (storage.get(RECORDS_FILE) or b"newer")


def test_storage_that_fails_is_named_once_and_used_again(
    run: Path, address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = Storage(address, "one")
    copier = RunCopier(run, storage, every_s=0.0)

    def fails(*_: object) -> None:
        raise StorageFailed("AWS Error NETWORK_CONNECTION")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "put", fails)
        for _ in range(3):
            copier.step()
            copier._thread.join()
    assert capsys.readouterr().err.count("NETWORK_CONNECTION; it is tried again, the search goes on") == 1
    copier.close()
    assert storage.get(SNAPSHOT) == b"snapshot"


def test_slow_storage_holds_the_end_of_a_search_for_a_limited_time(
    run: Path, address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(copier_module, "LAST_S", 0.05)
    storage, waits = Storage(address, "one"), threading.Event()
    monkeypatch.setattr(storage, "put", lambda *_: waits.wait(10))
    RunCopier(run, storage).close()
    waits.set()
    assert "is slow: the last minutes may be missing there" in capsys.readouterr().err


def test_copy_of_another_search_or_of_a_later_session_is_not_replaced(run: Path, address: str) -> None:
    with copied_run(run, address):
        pass
    check_copy(run, Storage(address, "one"))
    Storage(address, "one").put(OWNER_FILE, b'{"id": "abc", "sessions": 2}')
    with pytest.raises(UserError, match="has a later session of one"):
        check_copy(run, Storage(address, "one"))
    (run / ".id").write_text("another")
    with pytest.raises(UserError, match="has a copy of another one: give another `--name`"):
        check_copy(run, Storage(address, "one"))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"id": 1, "sessions": "x"}', b"\xff", b"[" * 100_000])
def test_damaged_owner_is_one_message(run: Path, address: str, content: bytes) -> None:
    Storage(address, "one").put(OWNER_FILE, content)
    with pytest.raises(UserError, match=r"the copy of one in .* is damaged: owner\.json \(--storage\)$"):
        check_copy(run, Storage(address, "one"))


def test_archive_damaged_at_any_place_is_one_message_or_whole(run: Path, address: str, tmp_path: Path) -> None:
    with copied_run(run, address):
        pass
    storage = Storage(address, "one")
    archive = storage.get(RECORDS_FILE)
    assert archive
    for place in range(0, len(archive), 7):
        storage.put(RECORDS_FILE, archive[:place] + bytes([archive[place] ^ 0xFF]) + archive[place + 1 :])
        restored = tmp_path / f"elsewhere/{place}/one"
        try:
            restore_run(restored, address)
        except UserError:
            assert not restored.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "runs", "storage"], (
        "nothing is written beside"
    )


def test_restoring_what_is_not_there_or_damaged_leaves_nothing_behind(run: Path, address: str, tmp_path: Path) -> None:
    restored = tmp_path / "elsewhere/one"
    with pytest.raises(UserError, match=r"expected a copy of one in .*, found none"):
        restore_run(restored, address)
    assert not restore_run(restored, address, is_required=False)
    Storage(address, "one").put(RECORDS_FILE, b"PK damaged")
    with pytest.raises(UserError, match="is damaged"):
        restore_run(restored, address)
    assert not restored.exists()
    assert list(restored.parent.iterdir()) == []
