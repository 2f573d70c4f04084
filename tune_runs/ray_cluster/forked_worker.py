"""What a local Ray starts in place of its own worker script: it has the template fork the worker, and ends.

Ray runs this file by its path, so that it imports nothing but the standard library.
"""

import json
import os
import resource
import signal
import socket
import sys

TEMPLATE = "ABSGD_TUNE_WORKER_TEMPLATE"
"""Environment variable with the path of the template's socket."""
SCRIPT = "ABSGD_TUNE_WORKER_SCRIPT"
"""Environment variable with the path of Ray's own worker script."""
PATIENCE_S = 30.0
"""Time for which each answer of the template is waited for, its own imports included."""


def start() -> None:
    """Have the worker forked; without a template that answers, become it."""
    if not _is_forked():
        os.execv(sys.executable, [sys.executable, os.environ[SCRIPT], *sys.argv[1:]])


def _is_forked() -> bool:
    """Whether the template has forked a worker with the arguments, environment and files of this process."""
    try:
        with socket.socket(socket.AF_UNIX) as template:
            template.settimeout(PATIENCE_S)
            template.connect(os.environ[TEMPLATE])
            socket.send_fds(template, [b"."], [0, 1, 2])
            template.sendall(json.dumps(_own_state()).encode())
            template.shutdown(socket.SHUT_WR)
            return template.recv(1) != b""
    except OSError:
        return False


def _own_state() -> dict[str, object]:
    """Return what Ray gave this process and the worker is to have, as `worker_template.Start`."""
    script = os.environ[SCRIPT]
    with open("/proc/self/oom_score_adj") as file:
        oom_score_adj = file.read()
    return {
        "arguments": [script, *sys.argv[1:]],
        "environment": dict(os.environ),
        "path": [os.path.dirname(script) if place == os.path.dirname(__file__) else place for place in sys.path],
        "folder": os.getcwd(),
        "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "oom_score_adj": oom_score_adj,
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
    }


if __name__ == "__main__":
    start()
