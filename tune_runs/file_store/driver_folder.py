"""The driver's run folder as a file store: an actor on the driver's node reads and writes it for the other nodes.

What it is sent and what it returns travels through Ray's object store. Import this module inside `ray_session` only.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from absgd.records import write_atomically
from tune_runs.file_store.interface import FileStore, StoreUse
from tune_runs.file_store.patient_store import PatientStore

ANSWER_S = 60.0
"""Time in which the actor answers, the transfer of a file included."""
_CALLS_AT_ONCE = 4

HasRoom = Callable[[int], bool]
"""Whether the disk budget of the search has room for a number of bytes."""


class _Answer(NamedTuple):
    """The answer of the actor; an error as its number and words, since Ray would wrap the exception."""

    value: Any = None
    error: tuple[int, str] | None = None


class _FolderServer:
    """Reads and writes files of this machine."""

    def __init__(self, has_room: HasRoom) -> None:
        self._has_room = has_room

    def call(self, operation: str, *given: Any) -> _Answer:
        """Carry out one operation of `FileStore`."""
        try:
            return _Answer(getattr(self, f"_{operation}")(*given))
        except OSError as error:
            return _Answer(error=(error.errno or errno.EIO, error.strerror or str(error)))

    def _put(self, path: str, content: bytes) -> None:
        if not self._has_room(len(content)):
            raise OSError(errno.EDQUOT, "the disk budget leaves no room")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)

    def _get(self, path: str) -> bytes | None:
        with suppress(FileNotFoundError):
            return Path(path).read_bytes()
        return None

    def _names(self, folder: str) -> list[str]:
        with suppress(FileNotFoundError):
            return os.listdir(folder)
        return []

    def _delete(self, paths: list[str]) -> None:
        for path in paths:
            Path(path).unlink(missing_ok=True)


class DriverFolder:
    """The worker's side: a `FileStore` whose files are in the driver's folder.

    Args:
        actor: name of the actor that serves the folder.
    """

    def __init__(self, actor: str) -> None:
        self._name = actor

    def put(self, path: Path, content: bytes) -> None:
        """Write a file as `FileStore.put`."""
        self._call("put", str(path), content)

    def get(self, path: Path) -> bytes | None:
        """Return the content of a file as `FileStore.get`."""
        content: bytes | None = self._call("get", str(path))
        return content

    def names(self, folder: Path) -> list[str]:
        """Return the names of files as `FileStore.names`."""
        found: list[str] = self._call("names", str(folder))
        return found

    def delete(self, paths: Collection[Path]) -> None:
        """Delete files as `FileStore.delete`."""
        self._call("delete", [str(path) for path in paths])

    def _call(self, operation: str, *given: Any) -> Any:
        try:
            actor = ray.get_actor(self._name)
            answer: _Answer = ray.get(actor.call.remote(operation, *given), timeout=ANSWER_S)
        except GetTimeoutError:
            raise OSError(errno.ETIMEDOUT, f"no answer from the driver's node within {ANSWER_S:g} s") from None
        except (RayError, ValueError) as error:  # ValueError: no actor of this name
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise OSError(errno.EHOSTUNREACH, f"the driver's node does not serve its files: {reason}") from None
        if answer.error:
            raise OSError(*answer.error)
        return answer.value


@contextmanager
def served_folder(seeing: frozenset[str], has_room: HasRoom) -> Iterator[StoreUse]:
    """Serve the files of the driver's machine to other nodes during the block.

    The actor is on the driver's node; if its process is lost it restarts, and calls to it are repeated.

    Args:
        seeing: ids of the nodes that need no store.
        has_room: whether the disk budget has room.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    name = f"absgd-tune files {uuid.uuid4().hex}"
    server = ray.remote(num_cpus=0)(_FolderServer).options(
        name=name,
        max_restarts=-1,
        max_task_retries=-1,
        max_concurrency=_CALLS_AT_ONCE,
        scheduling_strategy=here,
    )
    actor = server.remote(has_room)
    try:
        yield StoreUse(name, seeing)
    finally:
        with suppress(RayError):
            ray.kill(actor)


def store_here(use: StoreUse | None) -> FileStore | None:
    """Return the store that a worker on this node uses; None where it sees the driver's folder."""
    if use is None or ray.get_runtime_context().get_node_id() in use.seeing:
        return None
    return PatientStore(DriverFolder(use.actor))
