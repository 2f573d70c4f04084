"""Checks before anything is trained that workers start and run the driver's code; import inside `ray_session` only."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from absgd.errors import UserError
from absgd.registry.plugin_table import PLUGINS
from tune_runs.ray_cluster.session import live_nodes

START_S = 180.0
"""Time for the first worker of every node to start; Python on a slow network disk may take a minute."""
OWN_PACKAGES = ("absgd", "tune_runs")
"""Packages whose files must be the same on driver and workers, like those that hold parts of plugins."""
LIBRARIES = ("torch", "torchvision", "numpy")
"""Libraries whose versions must be the same there, apart from the build: `+cpu` and `+cu124` are one version."""
_LOG_LINES = 3
_MANY_BYTES = 100_000


class WorkersDoNotStart(OSError):  # noqa: N818 - names an event
    """No worker process of Ray started in time."""


class Code(NamedTuple):
    """The code that a process imports under a name."""

    name: str
    version: str
    """Version of a library; hash of the files of a package of our own; or the error of its import."""
    place: str
    """Folder that it is imported from."""


def check_workers(limit_s: float = START_S) -> None:
    """Start one worker on every node of a cluster and compare what it imports with what this process imports.

    A Ray that this process started needs no check: its workers have the import path of this process.

    Raises:
        UserError: if they differ: the search would train other code than it was asked to.
        WorkersDoNotStart: if no worker starts in time.
    """
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # this module may be one that differs
    remote = ray.remote(num_cpus=0, max_retries=0)(imported_code)
    packages = (*OWN_PACKAGES, *(name for plugin in PLUGINS.values() for name in plugin.packages))
    there = {
        remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            packages, LIBRARIES
        ): node["NodeManagerAddress"]
        for node in live_nodes()
    }
    here = [Code(*one) for one in imported_code(packages, LIBRARIES)]
    done, late = ray.wait(list(there), num_returns=len(there), timeout=limit_s)
    if late:
        raise WorkersDoNotStart(
            f"no worker process of Ray started on {there[late[0]]} within {limit_s:g} s{raylet_error(logs_folder())}"
        )
    for task in done:
        try:
            found = [Code(*one) for one in ray.get(task, timeout=limit_s)]
        except RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise WorkersDoNotStart(f"the first worker of Ray on {there[task]} ended: {reason}") from None
        if problem := difference(here, found):
            raise UserError(f"{problem} (worker on {there[task]})")


def imported_code(packages: Sequence[str], libraries: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return name, version or hash, and place of what this process imports; a worker gets this function alone.

    Args:
        packages: packages, or modules of one file, whose files are hashed.
        libraries: distributions whose version is asked for.
    """
    import hashlib
    from importlib import import_module, metadata
    from pathlib import Path

    found = []
    for name in packages:
        try:
            file = Path(str(import_module(name).__file__))
            folder = file.parent
            digest = hashlib.sha256()
            for path in sorted(folder.rglob("*.py")) if file.name == "__init__.py" else [file]:
                digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
            found.append((name, digest.hexdigest(), str(folder)))
        except Exception as error:  # noqa: BLE001 - the driver reports any error
            found.append((name, f"{type(error).__name__}: {error}", ""))
    for name in libraries:
        try:
            found.append((name, metadata.version(name).partition("+")[0], ""))
        except metadata.PackageNotFoundError:
            found.append((name, "none", ""))
    return found


def difference(here: Sequence[Code], there: Sequence[Code]) -> str | None:
    """Return the first difference between what the driver and a worker import, for a message; None if there is none."""
    for own, other in zip(here, there, strict=True):
        if own.version == other.version:
            continue
        if own.name in LIBRARIES:
            return f"expected workers with {own.name} {own.version}, as here, got {other.version}"
        if not other.place:
            return f"expected workers that can import `{own.name}`, as it is in {own.place}, got {other.version}"
        return f"expected workers that import `{own.name}` as it is in {own.place}, got other files in {other.place}"
    return None


def logs_folder() -> Path:
    """Return the folder of the logs of this process's Ray session."""
    return Path(ray._private.worker._global_node.get_logs_dir_path())


def raylet_error(logs: Path) -> str:
    """Return the last error lines that the raylet wrote about its workers, for a message; nothing if there are none."""
    for name in ("raylet.err", "raylet.out"):
        try:
            text = (logs / name).read_bytes()[-_MANY_BYTES:].decode(errors="replace")
        except OSError:
            continue
        lines = [line.strip() for line in text.splitlines() if any(sign in line for sign in _SIGNS)]
        if lines:
            return f"; its raylet says: {' / '.join(lines[-_LOG_LINES:])} ({logs / name})"
    return f"; see {logs}"


_SIGNS = ("rror", "ailed", "not found", "No such file", "Permission denied", " E ", " C ")
