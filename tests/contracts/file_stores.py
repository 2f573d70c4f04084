"""The contract of a file store: inherit FileStoreContract and supply one fixture, `store`."""

from __future__ import annotations

from pathlib import Path

from tune_runs.file_store.interface import FileStore

CONTENT = bytes(range(256)) * 1024


class FileStoreContract:
    """What every file store does; `store` has room in `tmp_path`."""

    def test_file_comes_back_as_it_was_put(self, store: FileStore, tmp_path: Path) -> None:
        path = tmp_path / "a/b/epoch-0001.pt"
        store.put(path, b"an earlier one")
        store.put(path, CONTENT)
        assert store.get(path) == CONTENT
        assert store.names(path.parent) == ["epoch-0001.pt"]

    def test_file_and_folder_that_are_not_there_are_no_errors(self, store: FileStore, tmp_path: Path) -> None:
        assert store.get(tmp_path / "none/x.pt") is None
        assert store.names(tmp_path / "none") == []
        store.delete([tmp_path / "none/x.pt"])

    def test_deleted_files_are_gone_and_others_stay(self, store: FileStore, tmp_path: Path) -> None:
        paths = [tmp_path / name for name in ("a.pt", "b.pt", "c.pt")]
        for path in paths:
            store.put(path, path.name.encode())
        store.delete(paths[:2])
        assert [store.get(path) for path in paths] == [None, None, b"c.pt"]
        assert store.names(tmp_path) == ["c.pt"]
