"""Agents of a local Ray that rest until they are asked for."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from tune_runs.ray_cluster import resting_agent

AGENT = """
import socket, sys
port = next(word.partition("=")[2] for word in sys.argv if word.startswith("--runtime-env-agent-port="))
listener = socket.create_server(("127.0.0.1", int(port)))
while True:
    connection, _ = listener.accept()
    connection.sendall(repr(sys.argv[1:]).encode())
    connection.close()
"""


@contextmanager
def resting(agent: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start what stands in for an agent, as the raylet does: its input is a pipe that ends with the raylet."""
    words = [sys.executable, "-IS", resting_agent.__file__, *agent]
    process = subprocess.Popen(words, stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def port() -> Iterator[int]:
    """A port that stays bound and on which nobody listens, as `_resting_agents` reserves it."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def answer_at(port: int) -> str:
    """Return what is answered at a port; nothing if nobody listens, or whoever does goes away."""
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
            return connection.recv(1000).decode()
    except OSError:
        return ""


def is_listening(port: int) -> bool:
    """Whether a process listens at a port; it is not connected to."""
    listening = "0A"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(line[1] == f"0100007F:{port:04X}" and line[3] == listening for line in lines)


@pytest.mark.skipif(sys.platform != "linux", reason="agents rest on Linux alone")
def test_agent_that_is_asked_for_starts_at_its_port_with_its_command_line(tmp_path: Path, port: int) -> None:
    script = tmp_path / "agent.py"
    script.write_text(AGENT)
    options = ["--node-ip-address=127.0.0.1", f"--runtime-env-agent-port={port}", "--log-dir=a b"]
    with resting([sys.executable, str(script), *options]) as process:
        wait_until(lambda: is_listening(port))
        name = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert resting_agent.__file__ in name, "it rests"
        assert answer_at(port) == "", "whoever asks first is sent away"
        wait_until(lambda: answer_at(port) == repr(options))
        assert process.poll() is None
        assert str(script) in Path(f"/proc/{process.pid}/cmdline").read_text()


@pytest.mark.parametrize("has_port", [False, True])
def test_agent_ends_with_ray(has_port: bool, port: int) -> None:
    options = ["--node-ip-address=127.0.0.1", *([f"--runtime-env-agent-port={port}"] if has_port else [])]
    with resting([sys.executable, "-c", "raise SystemExit(3)", *options]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)
        process.communicate()  # closes its input
        assert process.returncode == 0
