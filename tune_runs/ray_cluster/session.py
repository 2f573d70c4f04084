"""A Ray session: a local Ray, or one of a cluster, that prints nothing.

A Ray that this process starts listens on loopback only and requires no token; a cluster that is joined keeps its own
rules. Import Ray only inside `ray_session`, or after it: Ray reads its environment at import.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from absgd.errors import UserError
from absgd.short_folders import fits, short_link_to
from absgd.terminal import warn
from tune_runs.ray_cluster.http2 import greets, is_http2
from tune_runs.ray_cluster.local_start import local_start, trials_take_any_worker
from tune_runs.ray_cluster.worker_template import worker_template

if TYPE_CHECKING:
    from ray.job_config import JobConfig

ANSWERS_WITHIN_S = 10.0
"""Time in which a cluster that is joined must give its first sign of life."""
_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    # Our records replace Ray's: no result.json, CSV or TensorBoard files, and no frequent snapshots of its state.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    # Paths of a space stay what they are in the driver.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # The runner handles signals itself, so that our state is saved at a safe point.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
_LONGEST_SOCKET = "/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""Longest path that Ray adds to its temporary folder."""
_LOCAL = {
    # A Ray started here binds 127.0.0.1 instead of every interface; joining a cluster must not set it.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "disabled",
    # One worker for each CPU starts at once, and imports what a trial does while the driver reads images.
    "RAY_prestart_worker_first_driver": "1",
    "RAY_enable_worker_prestart": "0",
    "RAY_preload_python_modules": "tune_runs.trial.trainable",
    # One that waits for its first trial longer than a second, while another owns the images, is not ended.
    "RAY_idle_worker_killing_time_threshold_ms": "3600000",
    # A process of Ray that does not reach another one yet tries again after 10 ms, not after a second, for 30 s.
    "RAY_raylet_client_connect_timeout_milliseconds": "10",
    "RAY_raylet_client_num_connect_attempts": "3000",
    # Agents that rest see the end of Ray in their input: see `resting_agent`.
    "RAY_enable_pipe_based_agent_to_parent_health_check": "1",
    # What Tune sets for a trial: see `trials_take_any_worker`.
    "PL_DISABLE_FORK": "1",
}
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Signals for which Ray or a search sets handlers."""


def set_environment(is_local: bool) -> None:
    """Set the environment variables that Ray reads when it is imported; later they have no effect."""
    os.environ.update(_QUIET | (_LOCAL if is_local else {}))


class RayDoesNotStart(OSError):  # noqa: N818 - names an event
    """Ray cannot start on this machine."""


@contextmanager
def ray_session(address: str | None = None) -> Iterator[None]:
    """Connect to a Ray for the block: the one of this process, the cluster at `address`, or a new local one.

    A Ray that was connected before stays connected; one that is connected here is disconnected at the end.

    Raises:
        UserError: if no cluster answers at `address`, or this process is connected to another one.
        RayDoesNotStart: if none can be started here.
    """
    starts_ray = address is None and not _is_connected()
    with process_kept(), worker_template(_import_path) if starts_ray else nullcontext():
        set_environment(is_local=starts_ray)
        if address:
            _check_answers(address)
        with _loggers_at({"ray.widgets.util": logging.ERROR}):  # says in a notebook that there are no widgets
            warnings.filterwarnings("ignore", "IProgress not found")  # as does a library that Ray imports
            import ray

        # A failed trial becomes a row with its error, and a line on the screen: Ray need not print its traceback too.
        with _loggers_at({"ray": logging.ERROR, "ray.tune": logging.CRITICAL}):
            if ray.is_initialized():
                _check_is_joined(address)
                yield
                return
            with _temporary_folder(address) as folder:
                _initialise(address, folder)
                try:
                    with nullcontext() if address else _started_here():
                        yield
                finally:
                    ray.shutdown()


_session_is_own = False


def is_started_here() -> bool:
    """Whether the connected Ray is one that `ray_session` started: its workers have environment and path from here."""
    return _session_is_own


@contextmanager
def _started_here() -> Iterator[None]:
    global _session_is_own
    _session_is_own = True
    try:
        with trials_take_any_worker():
            yield
    finally:
        _session_is_own = False


@contextmanager
def process_kept() -> Iterator[None]:
    """Restore the process after the block: environment, signal handlers, filters of warnings."""
    environment = dict(os.environ)
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in _HANDLED} if is_main else {}
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in environment.items() if os.environ.get(name) != value})
        for number, handler in handlers.items():
            if handler is not None:  # None: one that Python did not set, and cannot set again
                signal.signal(number, handler)


@contextmanager
def _loggers_at(levels: Mapping[str, int]) -> Iterator[None]:
    """Give loggers other levels inside the block."""
    earlier = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in earlier.items():
            logging.getLogger(name).setLevel(level)


def _is_connected() -> bool:
    """Whether this process is connected to a Ray, without importing it."""
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def _check_is_joined(address: str | None) -> None:
    """Refuse the address of another cluster than the one that this process is connected to.

    Raises:
        UserError: if it is another.
    """
    import ray

    own = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", own):
        raise UserError(f"expected the Ray of this process ({own}), or no address, got {address!r} (address)")


@contextmanager
def _temporary_folder(address: str | None) -> Iterator[str | None]:
    """Give the temporary folder of a Ray that is started here; None: its own choice."""
    own = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    if address or fits(own, _LONGEST_SOCKET):
        yield None
        return
    with short_link_to(own) as link:
        warn(f"the path of the temporary folder {own} is too long for Ray's sockets: they are reached through {link}")
        yield f"{link}/ray"


def _initialise(address: str | None, temporary_folder: str | None) -> None:
    """Call `ray.init`; it raises as `ray_session`."""
    import ray

    if address is None and shutil.which("bash") is None:
        raise RayDoesNotStart("Ray does not start on this machine: PATH has no bash, which starts its workers")
    try:
        with _hangup_ignored(), nullcontext() if address else local_start():
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level="ERROR",
                job_config=_job_config(address is None),
                **({} if address else {"include_dashboard": False}),
                **({"_temp_dir": temporary_folder} if temporary_folder else {}),
            )
    except Exception as error:
        if address is None:  # of a slow start Ray raises a bare Exception
            raise RayDoesNotStart(f"Ray does not start on this machine: {_one_line(error)}") from None
        if not isinstance(error, OSError | ValueError | RuntimeError | ray.exceptions.AuthenticationError):
            raise
        if _is_about_token(error):
            raise UserError(
                f"expected the token of the Ray cluster at {address!r}: set RAY_AUTH_MODE=token, and put the token "
                "into ~/.ray/auth_token or the file that RAY_AUTH_TOKEN_PATH names (--address)"
            ) from None
        raise UserError(f"expected a Ray cluster at {address!r}, got: {_one_line(error)} (--address)") from None


@contextmanager
def _hangup_ignored() -> Iterator[None]:
    """Let the processes that are started in the block ignore SIGHUP: the driver, which gets it too, ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, earlier)


def _job_config(is_local: bool) -> JobConfig:
    """Return the part of Ray's configuration that decides where workers import from.

    By itself Ray puts the current folder of the driver first on the path of its workers, so that they would import a
    file or package there in place of the one that the driver imported. Here local workers have the path of the driver,
    and those of a cluster their own.
    """
    from ray.job_config import JobConfig

    class DriverPath(JobConfig):  # type: ignore[misc]
        def _runtime_env_has_working_dir(self) -> bool:
            """Claim a working directory, for which Ray leaves the path alone; nothing else asks."""
            return True

    config = DriverPath()
    if is_local:  # workers put each of these before the earlier ones
        config._py_driver_sys_path = _import_path()[::-1]
    return config


def _import_path() -> list[str]:
    """Return from where this process imports, as other processes can use it."""
    return [os.path.abspath(place) for place in sys.path]


def _one_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _is_about_token(error: BaseException | None) -> bool:
    """Whether a missing or wrong token is the reason, at any depth of the chain of exceptions."""
    while error is not None:
        if type(error).__name__ == "AuthenticationError" or "authentication token" in str(error).lower():
            return True
        error = error.__cause__ or error.__context__
    return False


def _check_answers(address: str) -> None:
    """Refuse an address at which nothing listens: Ray would wait for it and ignore signals."""
    host, colon, port = address.rpartition(":")
    if address == "auto" or "://" in address:
        return
    if not colon or not port.isdigit() or int(port) > 65535:
        raise UserError(f"expected `auto` or HOST:PORT, got {address!r} (--address)")
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWERS_WITHIN_S) as connection:
            answer = greets(connection)
    except TimeoutError:
        raise UserError(
            f"expected a Ray cluster at {address!r}, got no answer within {ANSWERS_WITHIN_S:g} s (--address)"
        ) from None
    except (OSError, UnicodeError) as error:
        raise UserError(f"expected a Ray cluster at {address!r}, got: {error} (--address)") from None
    if answer is not None and not is_http2(answer):
        raise UserError(f"expected a Ray cluster at {address!r}, got another kind of server (--address)")


class NodeSize(NamedTuple):
    """CPUs and GPUs of one node."""

    cpus: float
    gpus: float


def live_nodes() -> list[dict[str, Any]]:
    """Return Ray's descriptions of the connected cluster's live nodes."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def size_of(node: Mapping[str, Any]) -> NodeSize:
    """Return the size of a node that Ray describes."""
    return NodeSize(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))


def node_sizes() -> list[NodeSize]:
    """Return the sizes of the connected cluster's live nodes."""
    return [size_of(node) for node in live_nodes()]
