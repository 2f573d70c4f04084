"""A storage at an address that `pyarrow.fs` understands: whole files by their names, below one folder."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TypeVar

import pyarrow as pa
from pyarrow import fs

from absgd.errors import UserError, shown

ANSWER_S = 60.0
"""Time in which a storage answers before a search starts."""
_UNREACHABLE = (OSError, ValueError, pa.ArrowException)
_Result = TypeVar("_Result")


class StorageFailed(OSError):  # noqa: N818 - names an event
    """A storage did not do what it was asked to; the message gives the reason in one line."""


class Storage:
    """Files below one folder of a storage.

    Args:
        address: address of the folder, such as `s3://bucket/runs` or `file:///mnt/runs`.
        name: folder in it.

    Raises:
        UserError: if `pyarrow.fs` does not understand the address, or it holds a password.
    """

    def __init__(self, address: str, name: str) -> None:
        if "@" in address.partition("://")[2].partition("/")[0]:
            raise UserError(
                "expected an address without a password, which logs and commands would show: set it as the storage's "
                "own tools read it, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (--storage)"
            )
        try:
            self._files, base = _answered(lambda: fs.FileSystem.from_uri(address))
        except _UNREACHABLE as error:
            raise UserError(
                f"expected the address of a storage, got {shown(address)}: {_line(error)} (--storage)"
            ) from None
        if not base.strip("/"):
            raise UserError(f"expected an address with a bucket or a folder, got {shown(address)} (--storage)")
        self._base = PurePosixPath(base) / name
        self.title = address

    def put(self, name: str, content: bytes) -> None:
        """Write a file; a reader sees the earlier content or the new one, whole.

        Raises:
            StorageFailed: if it cannot be written.
        """
        path = str(self._base / name)
        has_folders = isinstance(self._files, fs.LocalFileSystem)
        target = f"{path}.{uuid.uuid4().hex}.part" if has_folders else path

        def write() -> None:
            if has_folders:
                self._files.create_dir(str(PurePosixPath(path).parent), recursive=True)
            with self._files.open_output_stream(target) as stream:
                stream.write(content)
            if has_folders:
                self._files.move(target, path)

        self._done(write)

    def get(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is none.

        Raises:
            StorageFailed: if it cannot be read.
        """
        with suppress(FileNotFoundError):
            content: bytes = self._done(lambda: self._files.open_input_stream(str(self._base / name)).read())
            return content
        return None

    def names(self) -> list[str]:
        """Return the names of all files, relative to the folder.

        Raises:
            StorageFailed: if they cannot be listed.
        """
        everything = fs.FileSelector(str(self._base), recursive=True, allow_not_found=True)
        found = self._done(lambda: self._files.get_file_info(everything))
        return [str(PurePosixPath(one.path).relative_to(self._base)) for one in found if one.type == fs.FileType.File]

    def delete(self, name: str) -> None:
        """Delete a file; one that is gone already is no error.

        Raises:
            StorageFailed: if it cannot be deleted.
        """
        with suppress(FileNotFoundError):
            self._done(lambda: self._files.delete_file(str(self._base / name)))

    def check(self) -> None:
        """Write, read and delete a small file.

        Raises:
            UserError: if that fails, or takes longer than `ANSWER_S`.
        """
        name, content = f"check-{uuid.uuid4().hex}", uuid.uuid4().hex.encode()

        def write_and_read() -> None:
            self.put(name, content)
            if self.get(name) != content:
                raise StorageFailed("it does not return what is written to it")
            self.delete(name)

        try:
            _answered(write_and_read)
        except OSError as error:
            raise UserError(
                f"expected a storage that can be written, got {shown(self.title)}: {error} (--storage)"
            ) from None

    def _done(self, operation: Callable[[], _Result]) -> _Result:
        try:
            return operation()
        except FileNotFoundError:
            raise
        except _UNREACHABLE as error:
            raise StorageFailed(_line(error)) from None


def _answered(operation: Callable[[], _Result]) -> _Result:
    """Return the result of an operation, from a thread of its own: some storages retry for a quarter of an hour.

    Raises:
        StorageFailed: if it takes longer than `ANSWER_S`.
        Exception: what the operation raises.
    """
    outcomes: list[_Result | Exception] = []

    def run() -> None:
        try:
            outcomes.append(operation())
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            outcomes.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    if not outcomes:
        raise StorageFailed(f"no answer within {ANSWER_S:g} s")
    if isinstance(outcomes[0], Exception):
        raise outcomes[0]
    return outcomes[0]


def _line(error: BaseException) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line.partition(" (Request ID")[0][:300]
