"""Starting and joining Ray: what must never happen, and the messages of refusals."""

from __future__ import annotations

import inspect
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray

from absgd.errors import UserError
from tune_runs.ray_cluster import local_start
from tune_runs.ray_cluster import session as ray_session
from tune_runs.ray_cluster.session import (
    _LONGEST_SOCKET,
    _check_answers,
    _hangup_ignored,
    _is_about_token,
    _job_config,
    _temporary_folder,
)

ROOT = Path(__file__).parents[3]
RAY_STOP = re.compile(r"""\bray["',\s\]\[()]+stop\b|AutoscalingCluster""")
"""The command in a shell or as a list of words, and a class of Ray that runs it."""
EXECUTED = [
    path
    for folder in ("absgd", "tune_runs", "analysis", "benchmarks", "scripts", "docs/examples", "tests")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix in {"", ".py", ".sh", ".sbatch", ".yaml"} and path != Path(__file__)
]


def without_comments(text: str) -> str:
    return re.sub(r"#[^\n]*", "", text)


def test_ray_stop_is_called_nowhere() -> None:
    """It ends every Ray of the user on the machine, those of other jobs and tests included."""
    assert len(EXECUTED) > 50
    assert [path for path in EXECUTED if RAY_STOP.search(without_comments(path.read_text()))] == []


@pytest.mark.parametrize("call", ["ray stop --force", '["ray", "stop"]', "'ray', 'stop'", "AutoscalingCluster()"])
def test_ray_stop_would_be_found(call: str) -> None:
    assert RAY_STOP.search(call)


def test_reason_is_found_at_the_depth_where_ray_gives_it() -> None:
    deep = RuntimeError("RPC error: InvalidAuthToken: Authentication token is missing or incorrect")
    shallow = ConnectionError("Failed to connect to Ray cluster")
    assert not _is_about_token(shallow)
    shallow.__cause__ = deep
    assert _is_about_token(shallow)


@contextmanager
def server(treat: Callable[[socket.socket], None]) -> Iterator[str]:
    """Start a server that handles one connection on loopback; return its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(120)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                treat(connection)
                done.wait(120)

        done = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        done.set()
        thread.join()


def test_cluster_that_greets_or_wants_tls_is_joined() -> None:
    with server(lambda connection: connection.sendall(b"\0\0\x06\x04\0\0\0\0\0abcdef")) as address:
        _check_answers(address)
    with server(lambda connection: connection.shutdown(socket.SHUT_RDWR)) as address:
        _check_answers(address)


def test_another_kind_of_server_is_refused_at_once() -> None:
    with (
        server(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as address,
        pytest.raises(UserError, match="got another kind of server"),
    ):
        _check_answers(address)


def test_silent_server_is_refused_after_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_session, "ANSWERS_WITHIN_S", 0.2)
    with server(lambda _: None) as address, pytest.raises(UserError, match=r"got no answer within 0\.2 s"):
        _check_answers(address)


def test_local_workers_have_the_path_of_the_driver_and_not_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/first", "/second"])
    config = _job_config(is_local=True)
    workers_path: list[str] = []
    for place in config._py_driver_sys_path:  # as a worker does
        workers_path.insert(0, place)
    assert workers_path == ["/first", "/second"]
    assert _job_config(is_local=False)._py_driver_sys_path == []
    # Ray adds the current folder unless this is true, and asks it nowhere else.
    assert config._runtime_env_has_working_dir()
    assert "working_dir" not in config.runtime_env


def test_long_temporary_folder_is_reached_by_a_short_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    folder = tmp_path / ("x" * 80)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with _temporary_folder("10.0.0.1:6379") as own:
        assert own is None, "a cluster has its own folder"
    with _temporary_folder(None) as own:
        assert own is not None
        assert len(own + _LONGEST_SOCKET.removeprefix("/ray")) <= 107
        os.makedirs(own)
        assert (folder / "ray").is_dir()
    assert capsys.readouterr().err.count("too long for Ray's sockets") == 1
    monkeypatch.setenv("TMPDIR", "/tmp")
    with _temporary_folder(None) as own:
        assert own is None


def test_processes_of_ray_ignore_the_end_of_the_terminal() -> None:
    code = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    earlier = signal.getsignal(signal.SIGHUP)
    with _hangup_ignored():
        done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert signal.getsignal(signal.SIGHUP) is earlier


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied", "/proc/1/ray"),
        RuntimeError("\nno raylet\n"),
        Exception("The current node timed out: no raylet"),
    ],
)
def test_ray_that_does_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(OSError, match=r"^Ray does not start on this machine: .*(Permission denied|no raylet)"):
        ray_session.ray_session().__enter__()


def test_a_node_that_is_slow_to_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import services
    from ray._private.node import Node

    assert "services.get_node(" in inspect.getsource(Node.__init__), "through which Ray asks for its node"
    answers: list[dict[str, str] | RuntimeError] = [RuntimeError("not there"), RuntimeError("not there"), {"id": "a"}]

    def get_node(address: str, node_id: str) -> dict[str, str]:
        answer = answers.pop(0)
        if isinstance(answer, RuntimeError):
            raise answer
        return answer

    monkeypatch.setattr(services, "get_node", get_node)
    with local_start.local_start():
        assert services.get_node("127.0.0.1:1", "a") == {"id": "a"}
    assert services.get_node is get_node
    answers.append(RuntimeError("not there"))
    monkeypatch.setattr(local_start, "STARTS_WITHIN_S", 0.0)
    with local_start.local_start(), pytest.raises(RuntimeError, match="not there"):
        services.get_node("127.0.0.1:1", "a")


def test_missing_bash_is_named_before_ray_waits_for_its_workers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="PATH has no bash, which starts its workers"):
        ray_session.ray_session().__enter__()
