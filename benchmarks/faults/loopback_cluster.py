"""A Ray cluster of several nodes on this machine, which listens on loopback only, controlled by lines on stdin.

`loopback_cluster` starts it in its own process, since the test session has its own Ray, and ends all of its processes
with the block. Run as a script, this module takes the commands of `_COMMANDS` and answers each with a line of JSON. It
ends when stdin is closed or after LIFE_S, whichever is first.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tune_runs.ray_cluster.local_start import patience

LIFE_S = 1800
MAX_NODES = 6
HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
}
"""Settings under which Ray notices a hanging node after about 9 s instead of 65 s."""
PR_SET_CHILD_SUBREAPER = 36
HIDDEN_VARIABLE = "LOOPBACK_HIDDEN_FOLDER"
"""Variable of the cluster's process: the folder that a blind node does not see."""
_CLONE_NEWNS, _CLONE_FS = 0x20000, 0x200
_LIBC = ctypes.CDLL(None, use_errno=True)


class ClusterNodes:
    """The nodes of the cluster, in the process that starts them; node 0 is the head."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        self._nodes: list[Any] = []

    def add(self) -> dict[str, Any]:
        """Add a node with one CPU; the first is the head."""
        assert len(self._nodes) < MAX_NODES
        first = {"include_dashboard": False, "_system_config": HEALTH_CHECKS} if not self._nodes else {}
        with patience():
            node = self._cluster.add_node(
                num_cpus=1, node_ip_address="127.0.0.1", object_store_memory=80 << 20, **first
            )
        self._nodes.append(node)
        return {"address": self._cluster.address, "node_id": node.node_id}

    def add_blind(self) -> dict[str, Any]:
        """Add a node that sees an empty folder in place of HIDDEN_VARIABLE's, as on a disk of its own.

        The raylet inherits the mount namespace of the thread that starts it.
        """
        namespace = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
        hidden = os.environ[HIDDEN_VARIABLE].encode()
        try:
            _checked(_LIBC.unshare(_CLONE_NEWNS))
            _checked(_LIBC.mount(b"tmpfs", hidden, b"tmpfs", 0, None))
            return self.add()
        finally:
            _checked(_LIBC.unshare(_CLONE_FS))  # threads that were started since share it, which setns refuses
            _checked(_LIBC.setns(namespace, _CLONE_NEWNS))
            os.close(namespace)

    def signal_node(self, index: int, number: signal.Signals) -> dict[str, Any]:
        """Kill or stop a node's raylet and its workers; for the head, its GCS too."""
        raylet = self._process(index, "raylet")
        workers = raylet.children(recursive=True)
        return self._send([raylet, *workers, *([self._process(0, "gcs_server")] if index == 0 else [])], number)

    def signal_process(self, index: int, name: str, number: signal.Signals) -> dict[str, Any]:
        """Kill or stop one process of a node."""
        return self._send([self._process(index, name)], number)

    def signal_trials(self, index: int, number: signal.Signals) -> dict[str, Any]:
        """Stop or continue the processes that train on a node."""
        return self._send(self._trials(index), number)

    def training(self) -> dict[str, Any]:
        """Count the processes that train on each node."""
        return {"training": [len(self._trials(index)) for index in range(len(self._nodes))]}

    def _trials(self, index: int) -> list[psutil.Process]:
        return [one for one in self._children(index) if _trains(one)]

    def _children(self, index: int) -> list[psutil.Process]:
        try:
            return self._process(index, "raylet").children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _process(self, index: int, name: str) -> psutil.Process:
        return psutil.Process(self._nodes[index].all_processes[name][0].process.pid)

    def _send(self, processes: list[psutil.Process], number: signal.Signals) -> dict[str, Any]:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return {"signalled": len(processes)}


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _trains(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "ray::ImplicitFunc.train" in " ".join(process.cmdline())
    return False


_UNSHARE = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--mount", "--map-root-user")
"""Command that runs another one with mounts of its own; `unshare` makes the change private."""
_COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {
    "add node": ClusterNodes.add,
    "add blind node": ClusterNodes.add_blind,
    "kill node": lambda nodes, index: nodes.signal_node(index, signal.SIGKILL),
    "hang node": lambda nodes, index: nodes.signal_node(index, signal.SIGSTOP),
    "hold trials": lambda nodes, index: nodes.signal_trials(index, signal.SIGSTOP),
    "release trials": lambda nodes, index: nodes.signal_trials(index, signal.SIGCONT),
    "kill gcs": lambda nodes: nodes.signal_process(0, "gcs_server", signal.SIGKILL),
    "hang gcs": lambda nodes: nodes.signal_process(0, "gcs_server", signal.SIGSTOP),
    "kill raylet": lambda nodes, index: nodes.signal_process(index, "raylet", signal.SIGKILL),
    "hang raylet": lambda nodes, index: nodes.signal_process(index, "raylet", signal.SIGSTOP),
    "training": ClusterNodes.training,
}


def serve() -> None:
    """Answer the commands on stdin until it is closed, then end every process started for the cluster."""
    # A worker whose raylet was killed becomes a child of this process, so that it is found and ended too.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.alarm(LIFE_S)
    try:
        nodes = ClusterNodes()
        for line in sys.stdin:
            *words, last = line.split()
            arguments = [int(last)] if last.isdigit() else []
            name = " ".join(words if arguments else [*words, last])
            print(json.dumps(_COMMANDS[name](nodes, *arguments)), flush=True)
    finally:
        signal.alarm(0)
        _end_children()
        os._exit(0)  # Ray's own exit handlers would wait for the killed processes


def _end_children() -> None:
    for _ in range(20):
        children = psutil.Process().children(recursive=True)
        if not children:
            return
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=1)


class LoopbackCluster:
    """Handle of the cluster in the test's process."""

    def __init__(self, process: subprocess.Popen[str], environment: dict[str, str]) -> None:
        self._process = process
        self.environment = environment
        """Environment of a command that joins the cluster."""
        self.address = ""
        self.num_nodes = 0
        """Number of nodes added so far, lost ones included."""

    @property
    def pid(self) -> int:
        """Id of the process whose descendants are the whole cluster."""
        return self._process.pid

    def tell(self, command: str) -> dict[str, Any]:
        """Send one of `_COMMANDS`, with the index of a node where it takes one; return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline() or "{}")
        assert answer, f"the cluster's process ended: {command}"
        return answer

    def add_node(self, kind: str = "node") -> None:
        """Add a node, or a `blind node`; return once the head knows it."""
        self.address = self.tell(f"add {kind}")["address"]
        self.num_nodes += 1

    def training(self) -> list[int]:
        """Count the trials that train on each node, held ones included."""
        counts: list[int] = self.tell("training")["training"]
        return counts

    def hold_trials(self, index: int) -> bool:
        """Stop the trials of a node, until told to `release trials`; return whether it has any."""
        return bool(self.tell(f"hold trials {index}")["signalled"])


def listening_addresses(*processes: psutil.Process) -> set[str]:
    """Return the addresses on which processes and their descendants listen, from the kernel's table."""
    found = set()
    for process in (*processes, *(child for one in processes for child in one.children(recursive=True))):
        with suppress(psutil.NoSuchProcess):
            found |= {one.laddr.ip for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN}
    return found


def can_hide_folders() -> bool:
    """Whether this machine lets a process have mounts of its own."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_UNSHARE, "true"], capture_output=True).returncode == 0


@contextmanager
def loopback_cluster(num_nodes: int, hidden: Path | None = None, **variables: str) -> Iterator[LoopbackCluster]:
    """Start a cluster with token authentication; the block's end ends it, whatever happens in the block.

    Args:
        num_nodes: nodes to start with, the head included.
        hidden: folder that none of the nodes but the head sees; needs `can_hide_folders`.
        variables: further variables for the environment of commands that join the cluster.
    """
    # A short path, since that of a socket has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    environment = _joining_environment(folder) | variables
    process = subprocess.Popen(
        [*(_UNSHARE if hidden else ()), sys.executable, "-m", "benchmarks.faults.loopback_cluster"],
        env=environment | ({HIDDEN_VARIABLE: str(hidden)} if hidden else {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(folder / "stderr.txt").open("w"),
        text=True,
        start_new_session=True,
    )
    try:
        cluster = LoopbackCluster(process, environment)
        for index in range(num_nodes):
            cluster.add_node("blind node" if hidden and index else "node")
        yield cluster
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _joining_environment(folder: Path) -> dict[str, str]:
    """Write a token to `folder`, and return the environment of processes that share it."""
    token = folder / "token"
    token.write_text(secrets.token_hex(16))
    return os.environ | {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


if __name__ == "__main__":
    serve()
