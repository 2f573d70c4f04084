"""Short paths for sockets: the path of a Unix socket has at most 107 bytes, and temporary folders may be longer.

Slurm and some desktops set TMPDIR to such a folder.
"""

from __future__ import annotations

import multiprocessing.util
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from absgd.errors import UserError

MOST_BYTES = 103
"""Longest path of a socket; Linux takes 107 bytes, macOS 103."""
_PLACES = ("/tmp", "/var/tmp", "/dev/shm", "~")
"""Folders tried for a short path, in this order."""
_MULTIPROCESSING = "/pymp-12345678/listener-12345678"
"""What multiprocessing adds to the temporary folder."""


def fits(folder: str, socket_name: str) -> bool:
    """Whether a socket called `socket_name` may be created in a folder."""
    return len(os.fsencode(folder + socket_name)) <= MOST_BYTES


@contextmanager
def short_link_to(folder: str) -> Iterator[str]:
    """Give a short path to a folder for the block: a symbolic link, so that its files stay where they belong.

    Raises:
        UserError: if no place for the link can be written.
    """
    with tempfile.TemporaryDirectory(prefix="absgd-", dir=short_place(folder)) as own:
        link = Path(own) / "t"
        link.symlink_to(folder)
        try:
            yield str(link)
        finally:
            link.unlink(missing_ok=True)


def short_place(instead_of: str) -> str:
    """Return a folder with a short path that can be written.

    Raises:
        UserError: if there is none.
    """
    for place in map(os.path.expanduser, _PLACES):
        if len(place) <= 32 and os.access(place, os.W_OK | os.X_OK):
            return place
    raise UserError(
        f"expected a temporary folder of a short path, got {instead_of}, and none of {', '.join(_PLACES)} can be "
        "written (TMPDIR)"
    )


def shorten_socket_paths() -> None:
    """Let multiprocessing of this process create its sockets in a short folder, if its own would be too long."""
    folder = tempfile.gettempdir()
    if fits(folder, _MULTIPROCESSING):
        return
    earlier = tempfile.tempdir
    tempfile.tempdir = short_place(folder)
    try:
        multiprocessing.util.get_temp_dir()  # is asked once; processes that this one starts inherit the answer
    finally:
        tempfile.tempdir = earlier
