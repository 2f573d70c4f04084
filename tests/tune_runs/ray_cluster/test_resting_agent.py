"""Agents of a local Ray that rest until they are asked for."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from tune_runs.ray_cluster import resting_agent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="agents rest on Linux alone")
AGENT = """
import socket, sys
port = next(word.partition("=")[2] for word in sys.argv if word.startswith("--runtime-env-agent-port="))
address = next(word.partition("=")[2] for word in sys.argv if word.startswith("--node-ip-address="))
listener = socket.create_server((address, int(port)), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
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


@pytest.fixture(params=["127.0.0.1", "::1"])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """An address and a port that stays bound and on which nobody listens, as `_resting_agents` reserves it."""
    with socket.socket(resting_agent.family_of(request.param)) as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            reserved.bind((request.param, 0))
        except OSError:
            pytest.skip(f"this machine has no {request.param}")
        yield request.param, reserved.getsockname()[1]


def options_at(place: tuple[str, int]) -> list[str]:
    return [f"--node-ip-address={place[0]}", f"--runtime-env-agent-port={place[1]}", "--log-dir=a b"]


def answer_at(place: tuple[str, int]) -> str | None:
    """Return what is answered at a place; None if nobody listens, or goes away."""
    try:
        with socket.create_connection(place, timeout=10) as connection:
            return connection.recv(1000).decode() or None
    except OSError:
        return None


def command_line(process: subprocess.Popen[bytes]) -> str:
    return Path(f"/proc/{process.pid}/cmdline").read_text()


def test_agent_that_is_asked_for_starts_at_its_port_with_its_command_line(
    tmp_path: Path, place: tuple[str, int]
) -> None:
    script = tmp_path / "agent.py"
    script.write_text(AGENT)
    with resting([sys.executable, str(script), *options_at(place)]) as process:
        time.sleep(0.5)
        assert resting_agent.__file__ in command_line(process), "it rests"
        wait_until(lambda: answer_at(place) == repr(options_at(place)))
        assert process.poll() is None
        assert resting_agent.__file__ not in command_line(process)


@pytest.mark.parametrize("has_port", [False, True])
def test_agent_ends_with_ray(has_port: bool, place: tuple[str, int]) -> None:
    options = options_at(place) if has_port else options_at(place)[:1]
    with resting([sys.executable, "-c", "raise SystemExit(3)", *options]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)
        process.communicate()  # closes its input
        assert process.returncode == 0
