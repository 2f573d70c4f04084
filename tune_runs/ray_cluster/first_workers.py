"""The first workers, started early, and checked to run the code of the driver; imported in a `ray_session` only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from absgd.errors import UserError
from absgd.registry.plugin_table import PLUGINS
from tune_runs.ray_cluster.session import NodeSize, live_nodes, size_of

START_S = 180.0
"""Time for the first worker of every node to start; Python on a slow network disk may take a minute."""
OWN_PACKAGES = ("absgd", "tune_runs")
"""Packages of which driver and workers must have equal files, as of those that hold parts of plugins."""
LIBRARIES = ("torch", "torchvision", "numpy")
"""Libraries of which they must have equal versions, apart from the build: `+cpu` and `+cu124` are one version."""
VARIABLES_OF_TRIALS = {"PL_DISABLE_FORK": "1", "RAY_CHDIR_TO_TRIAL_DIR": "0"}
"""What Tune sets for a trial: such a worker starts in another way than one without, and a trial can take it over."""
_ENVIRONMENT = {"env_vars": VARIABLES_OF_TRIALS}
_LOG_LINES = 3
_MANY_BYTES = 100_000


class WorkersDoNotStart(OSError):  # noqa: N818 - names an event
    """No worker process of Ray started in time."""


class Code(NamedTuple):
    """What a process imports under a name."""

    name: str
    version: str
    """Version of a library; hash of the files of a package of our own; or the error of its import."""
    place: str
    """Folder that it is imported from."""


class FirstWorkers:
    """The workers of every node that train its first trials, started before there is anything to train.

    They import what a trial does while the driver reads torch and its images, and Tune's trials then take them over.
    One of each node also says what it imports.

    Args:
        trials_on: gives the trials of a node that train at once in processes of their own.
        module: what such a process imports.
    """

    def __init__(self, trials_on: Callable[[NodeSize], int], module: str) -> None:
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # this module may be one that differs
        self._packages = (*OWN_PACKAGES, *(name for plugin in PLUGINS.values() for name in plugin.packages))
        self._checked: dict[ray.ObjectRef[list[tuple[str, str, str]]], str] = {}
        self._others: list[ray.ObjectRef[None]] = []
        for node in live_nodes():
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": here, "runtime_env": _ENVIRONMENT}
            check = ray.remote(**options)(imported_code)
            self._checked[check.remote(self._packages, LIBRARIES)] = node["NodeManagerAddress"]
            ready = ray.remote(**options)(import_quietly)
            self._others += [ready.remote(module) for _ in range(trials_on(size_of(node)))]

    def check(self, limit_s: float = START_S) -> None:
        """Compare what a worker of every node imports with what this process imports.

        Raises:
            UserError: if they differ: the search would train other code than it was asked to.
            WorkersDoNotStart: if no worker starts in time.
        """
        here = [Code(*one) for one in imported_code(self._packages, LIBRARIES)]
        done, late = ray.wait(list(self._checked), num_returns=len(self._checked), timeout=limit_s)
        if late:
            raise WorkersDoNotStart(
                f"no worker process of Ray started on {self._checked[late[0]]} within {limit_s:g} s"
                f"{raylet_error(logs_folder())}"
            )
        for task in done:
            try:
                found = [Code(*one) for one in ray.get(task, timeout=limit_s)]
            except RayError as error:
                reason = str(error).strip().splitlines()[-1]
                raise WorkersDoNotStart(f"the first worker of Ray on {self._checked[task]} ended: {reason}") from None
            if problem := difference(here, found):
                raise UserError(f"{problem} (worker on {self._checked[task]})")


def import_quietly(module: str) -> None:
    """Import a module in a worker, which gets this function alone; an error will be that of the trials."""
    from contextlib import suppress
    from importlib import import_module

    with suppress(Exception):
        import_module(module)


def imported_code(packages: Sequence[str], libraries: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return name, version or hash, and place of what this process imports; a worker gets this function alone.

    Args:
        packages: packages, or modules of one file, of which the files are hashed.
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
