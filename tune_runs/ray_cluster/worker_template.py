"""A process that has imported torch, of which the workers of a local Ray are forks: each imports only Ray itself.

Importing torch takes a second of processor time, and the workers of a new Ray would all do it at once, after Ray has
started. The template does it once, while Ray starts. It does not import Ray, which reads the environment of a worker
as it is imported, and it touches no GPU. Where there is no template, workers start as Ray starts them.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from absgd.whole_imports import import_whole
from tune_runs.ray_cluster.forked_worker import TEMPLATE

IMPORTED = ("absgd.training", "absgd.datasets", "absgd.models", "pandas", "pyarrow.parquet", "pyarrow.fs", "fsspec")
"""Modules of the template: those with which trials train, and what Ray Tune imports."""
REQUEST_S = 5.0
"""Time in which a request must arrive whole; those after it wait for it."""
_PROGRAM = (
    "import json, sys; path, *rest = json.loads(sys.argv[1]); sys.path[:] = path; "
    "from tune_runs.ray_cluster.worker_template import run_template; run_template(*rest)"
)


class Start(NamedTuple):
    """What Ray gave a worker that it starts, as `forked_worker` sends it: a fork must have it before it runs."""

    arguments: list[str]
    environment: dict[str, str]
    path: list[str]
    folder: str
    blocked: list[int]
    oom_score_adj: str
    open_files: tuple[int, int]
    """Soft and hard limit of open files, of which Ray raises the first."""


@contextmanager
def worker_template(path: Callable[[], Sequence[str]], imported: Sequence[str] = IMPORTED) -> Iterator[int | None]:
    """Keep a template for the block, named in the environment; give its process, or None where there is none.

    There is none where processes cannot be forked safely, or it cannot be started, as when no temporary folder can be
    written or its path is too long for a socket. Forks outlive the template: Ray ends its workers itself.

    Args:
        path: gives from where the template imports, as `sys.path`; may raise OSError.
        imported: names of the modules that it imports.
    """
    os.environ.pop(TEMPLATE, None)
    template = None
    with ExitStack() as folders:
        if sys.platform == "linux":  # Apple's libraries do not stand a fork
            with suppress(OSError):
                own = tempfile.TemporaryDirectory(prefix="absgd-", ignore_cleanup_errors=True)
                template = _start(folders.enter_context(own), path(), imported)
        try:
            yield template.pid if template else None
        finally:
            if template is not None:
                template.kill()
                template.communicate()
                os.environ.pop(TEMPLATE, None)


def _start(folder: str, path: Sequence[str], imported: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a template whose socket is in a folder, and name it in the environment.

    Raises:
        OSError: if the path of the folder is too long for a socket, or the system refuses another process.
    """
    place = f"{folder}/template"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen(socket.SOMAXCONN)
        given = json.dumps([list(path), listener.fileno(), folder, list(imported)])
        template = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, given],
            stdin=subprocess.PIPE,  # ends with this process
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            process_group=0,  # Ctrl-C is for the driver, which ends it
        )
    os.environ[TEMPLATE] = place
    return template


class Request(NamedTuple):
    """A worker that is to start: what it must have, its three standard files, and who waits for it."""

    start: Start
    files: list[int]
    connection: socket.socket

    def close(self) -> None:
        """Close its files and connection in this process."""
        for file in self.files:
            os.close(file)
        self.connection.close()


def run_template(listener_fd: int, folder: str, imported: Sequence[str]) -> None:
    """Import modules, then fork a worker for each request until the driver has ended; the program of a template.

    Args:
        listener_fd: file descriptor of its listening socket.
        folder: has the path of the socket; removed at the end.
        imported: names of the modules.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks that end leave no zombies
    for name in imported:
        import_whole(name)
    gc.freeze()  # so that forks do not copy the memory of what they look at
    with socket.socket(fileno=listener_fd) as listener:
        request = _fork_until_driver_ends(listener)
    if request is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        _become_worker(request)


def _fork_until_driver_ends(listener: socket.socket) -> Request | None:
    """Fork for each request; return it in the fork, and None in the template once the driver has ended."""
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        request = _next_request(listener)
        if request is not None:
            if _fork() == 0:
                return request
            request.close()
    return None


def _next_request(listener: socket.socket) -> Request | None:
    """Return the request of one that connects; None if it does not arrive whole."""
    connection, _ = listener.accept()
    connection.settimeout(REQUEST_S)
    files: list[int] = []
    try:
        _, files, _, _ = socket.recv_fds(connection, 1, 3)
        with connection.makefile("rb") as sent:
            return Request(Start(**json.loads(sent.read())), files, connection)
    except (OSError, ValueError, TypeError):
        for file in files:
            os.close(file)
        connection.close()
        return None


def _fork() -> int:
    """Call `os.fork` without Python's warning about threads: the others, of Arrow and OpenBLAS, know forks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _become_worker(request: Request) -> None:
    """Run Ray's worker in this process, a fork, and end with it."""
    start = request.start
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, start.blocked)
    os.setpgid(0, 0)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(start.oom_score_adj)
    resource.setrlimit(resource.RLIMIT_NOFILE, start.open_files)
    for number, file in enumerate(request.files):
        os.dup2(file, number)
    os.chdir(start.folder)
    os.environ.clear()
    os.environ.update(start.environment)
    sys.argv[:], sys.path[:] = start.arguments, start.path
    _draw_other_numbers()
    request.connection.sendall(b".")  # fails where nobody waits any more: then another worker has started
    request.close()
    runpy.run_path(start.arguments[0], run_name="__main__")


def _draw_other_numbers() -> None:
    """Seed NumPy's global generator anew, of which all forks have a copy; Python's own is seeded at a fork."""
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
