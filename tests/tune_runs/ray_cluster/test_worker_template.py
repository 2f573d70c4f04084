"""Workers that are forks of a template: they have everything that Ray gave the process it started, and nothing else."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until
from tune_runs.ray_cluster import forked_worker, worker_template
from tune_runs.ray_cluster.forked_worker import SCRIPT, TEMPLATE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no worker is forked")
SCRIPT_TEXT = """
import json, os, random, resource, signal, sys
import colorsys_of_worker
facts = {
    "arguments": sys.argv[1:], "folder": os.getcwd(), "mine": os.environ.get("MINE"), "parent": os.getppid(),
    "is_main": sys.modules["__main__"].__dict__ is globals(), "has_imported": sys.modules.keys() & {"numpy"} != set(),
    "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "ignores_children": signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN, "leads_group": os.getpgid(0) == os.getpid(),
    "oom_score_adj": open("/proc/self/oom_score_adj").read().strip(), "files": len(os.listdir("/proc/self/fd")),
    "path": sys.path, "number": random.random(), "limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0]
}
if "numpy" in sys.modules:
    facts["numpy"] = float(sys.modules["numpy"].random.random())
print("to stdout", flush=True)
print("to stderr", file=sys.stderr, flush=True)
with open(sys.argv[1] + ".part", "w") as file:
    json.dump(facts, file)
os.rename(sys.argv[1] + ".part", sys.argv[1])
"""
Start = Callable[..., dict[str, Any]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a worker as Ray does, and return what it has found."""
    script = tmp_path / "scripts" / "worker.py"
    script.parent.mkdir()
    script.write_text(SCRIPT_TEXT)
    (script.parent / "colorsys_of_worker.py").touch()  # a script finds what lies beside it
    monkeypatch.setenv(SCRIPT, str(script))

    def start_worker(name: str = "facts", **options: Any) -> dict[str, Any]:
        facts = tmp_path / name
        words = [sys.executable, forked_worker.__file__, str(facts), "--flag=a b"]
        with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
            subprocess.run(words, stdout=out, stderr=err, timeout=60, check=True, **options)
        wait_until(facts.exists)
        found: dict[str, Any] = json.loads(facts.read_text())
        return found

    return start_worker


@pytest.fixture
def template(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Keep a template that imports NumPy alone; give its process."""
    monkeypatch.delenv(TEMPLATE, raising=False)
    with worker_template.worker_template(lambda: sys.path, ("numpy",)) as pid:
        assert pid is not None
        yield pid


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_fork_has_what_ray_gave_the_process_that_it_started(template: int, start: Start, tmp_path: Path) -> None:
    facts = start(
        cwd=tmp_path,
        env={**os.environ, "MINE": "é \udc80"},
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]),
    )
    assert facts["parent"] == template
    assert facts["has_imported"], "what the template has imported"
    assert facts["arguments"] == [str(tmp_path / "facts"), "--flag=a b"]
    assert facts["folder"] == str(tmp_path)
    assert facts["mine"] == "é \udc80"
    assert facts["is_main"]
    assert facts["blocked"] == [signal.SIGINT]
    assert facts["leads_group"], "Ray ends the group of a worker"
    assert not facts["ignores_children"]
    assert facts["path"][0] == str(tmp_path / "scripts")
    assert (tmp_path / "out").read_text() == "to stdout\n"
    assert (tmp_path / "err").read_text() == "to stderr\n"


def test_fork_takes_over_that_it_is_the_first_to_go_when_memory_is_short(template: int, start: Start) -> None:
    def raise_score() -> None:
        Path("/proc/self/oom_score_adj").write_text("1000")

    assert start(preexec_fn=raise_score)["oom_score_adj"] == "1000"


def test_fork_may_open_as_many_files_as_ray_allows(template: int, start: Start) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard)))["limit"] == soft - 1


def test_template_outlives_a_lost_terminal_and_ctrl_c_and_leaves_no_zombies(template: int, start: Start) -> None:
    assert os.getpgid(template) == template, "Ctrl-C in a terminal reaches the group of the driver"
    assert start("one")["parent"] == template  # it has imported
    os.kill(template, signal.SIGHUP)
    assert start("other")["parent"] == template
    wait_until(lambda: Path(f"/proc/{template}/task/{template}/children").read_text() == "")


def test_fork_has_no_variable_of_the_template(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    monkeypatch.setenv("MINE", "the driver's")
    with worker_template.worker_template(lambda: sys.path, ("numpy",)) as pid:
        monkeypatch.delenv("MINE")
        facts = start()
    assert facts["parent"] == pid
    assert facts["mine"] is None


def test_forks_differ_in_their_random_numbers_and_keep_no_files_of_the_template(template: int, start: Start) -> None:
    one, other = start("one"), start("other")
    assert one["numpy"] != other["numpy"]
    assert one["number"] != other["number"]
    assert one["files"] == other["files"] <= 5  # three, that of the folder which it lists, and at most one of Python's


def test_worker_starts_by_itself_where_the_template_has_ended(template: int, start: Start) -> None:
    os.kill(template, signal.SIGKILL)
    wait_until(lambda: not is_running(template))
    facts = start()
    assert facts["parent"] == os.getpid(), "it is the process that was started"
    assert not facts["has_imported"]


def test_worker_starts_by_itself_where_the_template_does_not_answer(
    template: int, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start("first")  # it has imported
    text = Path(forked_worker.__file__).read_text()
    impatient = tmp_path / "forked_worker.py"
    impatient.write_text(text.replace(f"PATIENCE_S = {forked_worker.PATIENCE_S}", "PATIENCE_S = 0.5"))
    assert impatient.read_text() != text
    os.kill(template, signal.SIGSTOP)
    with monkeypatch.context() as patched:
        patched.setattr(forked_worker, "__file__", str(impatient))
        assert start("late")["parent"] == os.getpid()
    (tmp_path / "late").unlink()
    os.kill(template, signal.SIGCONT)
    assert start("next")["parent"] == template, "it goes on"
    assert not (tmp_path / "late").exists(), "the fork that nobody waits for does not run"


def test_requests_that_are_no_requests_do_not_end_the_template(template: int, start: Start) -> None:
    import socket

    for sent in (b"", b"."):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.environ[TEMPLATE])
            connection.sendall(sent)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[TEMPLATE])
        socket.send_fds(connection, [b"."], [0, 1, 2])
        connection.sendall(b'{"arguments": 1}')
    assert start()["parent"] == template


def test_template_ends_with_the_block_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TEMPLATE, raising=False)
    with worker_template.worker_template(lambda: sys.path, ("numpy",)) as pid:
        folder = Path(os.environ[TEMPLATE]).parent
        assert folder.stat().st_mode & 0o077 == 0, "others may not start processes of this user"
    assert pid is not None
    assert not is_running(pid)
    assert not folder.exists()


def test_template_ends_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, sys, time; from tune_runs.ray_cluster.worker_template import worker_template\n"
        "with worker_template(lambda: sys.path, ()):\n"
        "    print(os.environ['ABSGD_TUNE_WORKER_TEMPLATE'], flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout
        socket_file = Path(driver.stdout.readline().strip())
        assert socket_file.exists()
        driver.kill()
    wait_until(lambda: not socket_file.parent.exists())


def test_none_where_the_path_of_a_socket_would_be_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TEMPLATE, raising=False)
    long = tmp_path / ("a" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with worker_template.worker_template(lambda: sys.path, ("numpy",)) as pid:
        assert pid is None
        assert TEMPLATE not in os.environ


def test_none_where_no_temporary_folder_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TEMPLATE, "/of/another/search")
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    with worker_template.worker_template(lambda: sys.path, ("numpy",)) as pid:
        assert pid is None
        assert TEMPLATE not in os.environ


def test_none_where_forks_are_not_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TEMPLATE, raising=False)
    monkeypatch.setattr("sys.platform", "darwin")
    with worker_template.worker_template(lambda: sys.path) as pid:
        assert pid is None
        assert TEMPLATE not in os.environ


def test_template_imports_neither_ray_nor_what_touches_a_gpu() -> None:
    program = (
        "import sys\nfrom absgd.whole_imports import import_whole\n"
        "from tune_runs.ray_cluster.worker_template import IMPORTED\n"
        "for name in IMPORTED: import_whole(name)\n"
        "import torch; print('ray' in sys.modules, torch.cuda.is_initialized())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["False", "False"]
