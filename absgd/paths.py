"""Paths given by the user: `~` is resolved; paths that no file system can hold or no reader should open are refused.

Nothing here imports torch.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from io import BufferedReader
from pathlib import Path

from absgd.errors import UserError, shown

PathLike = str | os.PathLike[str]
"""A path as functions for users take it."""

_UNFIT = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, which steer a terminal or end a line, and bytes that are not text, which no column can hold."""


def path_problem(path: str) -> str | None:
    """Return why a path is refused, judged by its text alone; None when it is not."""
    return f"expected a path without control characters, got {shown(path)}" if _UNFIT.search(path) else None


def expanded(path: str | Path, key: str) -> Path:
    """Resolve a leading `~` of a path.

    Args:
        path: as the user wrote it.
        key: setting or option to name in the message.

    Raises:
        UserError: if it begins with `~` and no such home folder is known, or if it has control characters.
    """
    _check_text(path, key)
    try:
        return Path(path).expanduser()
    except RuntimeError:
        user = Path(path).parts[0]
        raise UserError(
            f"expected a path, got {shown(str(path))}: no home folder of `{user}` is known ({key})"
        ) from None


def path_of(given: object, key: str) -> Path:
    """Return a path that a user of Python gave, with a leading `~` resolved.

    Raises:
        UserError: if it is neither text nor a path; as `expanded`.
    """
    name = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(name, str):
        raise UserError(f"expected a path, got {shown(given)} ({key})")
    return expanded(name, key)


def absolute(path: PathLike, key: str) -> Path:
    """Return a path as this process understands it, so that every other process does.

    Args:
        path: as the user wrote it; a leading `~` is resolved.
        key: setting or option to name in the message.

    Raises:
        UserError: as `path_of`.
    """
    found = path_of(path, key).absolute()
    return found.resolve() if ".." in found.parts else found


def checked_folder(path: Path, option: str) -> Path:
    """Return `path` if a folder exists there or, as far as can be told without creating it, can be created there.

    Raises:
        UserError: if it cannot: a name is too long, a part of the path is a file, or it has control characters.
    """
    _check_text(path, option)
    reason = "its parent folder does not exist" if path.name == ".." else None
    try:
        os.stat(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        return path
    if reason is not None:
        raise UserError(f"expected a folder, got {shown(str(path))}: {reason} ({option})")
    return path


def is_endless(path: Path) -> bool:
    """Whether a reader of `path` might wait or read for ever, because it is a pipe or a device."""
    return path.exists() and not path.is_file() and not path.is_dir()


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Read a regular file; a device, a pipe or a folder is refused without waiting for it.

    Raises:
        UserError: if it is not a regular file, cannot be read, or is larger than `max_bytes`.
    """
    _check_text(path, "a file to read")
    try:
        with open_regular(path) as file:
            content = file.read(max_bytes + 1)  # the size that the file system reports may be wrong, as in /proc
    except NotRegular as error:
        raise UserError(f"expected a regular file, got {error} ({path})") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    if len(content) > max_bytes:
        raise UserError(f"expected a file of at most {max_bytes:,} bytes, got a larger one ({path})")
    return content


class NotRegular(OSError):  # noqa: N818 - names a state of a file
    """A path is no regular file; the message says what it is."""


def open_regular(path: str | bytes | Path) -> BufferedReader:
    """Open a regular file to read bytes; a pipe, a socket or a device is refused without waiting for it.

    Raises:
        NotRegular: if it is something else.
        OSError: if it cannot be opened.
    """
    try:
        file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 - the caller closes it
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise NotRegular("a device or a socket") from None
        raise
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise NotRegular("a device or a pipe")


def is_absent(error: OSError) -> bool:
    """Whether an error says that there is nothing at a path; a link that leads nowhere counts as nothing."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def is_denied(error: OSError) -> bool:
    """Whether an error says that this user may not read what is at a path."""
    return error.errno in (errno.EACCES, errno.EPERM)


def _open_at_once(path: str, flags: int) -> int:
    """Open a path without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_text(path: str | Path, key: str) -> None:
    problem = path_problem(str(path))
    if problem is not None:
        raise UserError(f"{problem} ({key})")
