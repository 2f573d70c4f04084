"""Processes that train at the same time: their requests, and every way in which one can end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from tests.support.gpus import needs_gpu
from tests.support.obeying import obeying
from tune_runs.preview.probe_processes import ProbeProcesses, ProbeProcessLost, peak_bytes

MIB = 2**20


def test_processes_train_at_the_same_time() -> None:
    with ProbeProcesses(obeying) as processes:
        one, other = processes.train(["sleep 1", "sleep 1"])
        assert max(one.started, other.started) < min(one.ended, other.ended)
        assert one.ended - one.started >= 1
        assert one.peak_bytes == 7
        processes.grow(1)
        assert processes.count == 2, "none is ended by asking for fewer"
        (first,) = processes.train(["pid"])
        assert first.peak_bytes == processes.train(["pid", "pid"])[0].peak_bytes, "the same processes serve again"
    assert processes.count == 0


@pytest.mark.parametrize(
    ("order", "words", "is_gpu_memory"),
    [
        ("kill", "its process ended by SIGKILL", False),
        ("exit 3", "its process ended with exit status 3", False),
        ("refuse expected `x`, got y", "expected `x`, got y", False),
        ("full 2.00 GiB", r"out of GPU memory \(torch.OutOfMemoryError: CUDA out of memory", True),
    ],
)
def test_process_that_ends_is_reported(order: str, words: str, is_gpu_memory: bool) -> None:
    with ProbeProcesses(obeying) as processes, pytest.raises(ProbeProcessLost, match=words) as error:
        processes.train([order])
    assert error.value.is_gpu_memory is is_gpu_memory


def test_process_that_never_replies_is_ended() -> None:
    with ProbeProcesses(obeying, limit_s=30) as processes:
        processes.train([""])
        processes._until = 0.0
        with pytest.raises(ProbeProcessLost, match="it took longer than the 30 s left for it"):
            processes.train(["sleep 600"])
        assert processes.count == 0


def test_all_processes_end_with_one_and_start_again() -> None:
    with ProbeProcesses(obeying) as processes:
        with pytest.raises(ProbeProcessLost, match="SIGKILL"):
            processes.train(["kill", "sleep 60"])
        assert processes.count == 0
        assert not multiprocessing.active_children(), "the one that sleeps too"
        assert len(processes.train([""])) == 1


def test_process_that_ends_before_it_is_ready() -> None:
    with (
        ProbeProcesses(partial(obeying, "kill")) as processes,
        pytest.raises(ProbeProcessLost, match="its process ended by SIGKILL"),
    ):
        processes.grow(1)


def test_process_that_ended_between_two_passes_is_reported() -> None:
    with ProbeProcesses(obeying) as processes:
        (pid,) = (one.peak_bytes for one in processes.train(["pid"]))
        os.kill(pid, signal.SIGKILL)
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        with pytest.raises(ProbeProcessLost, match="SIGKILL"):
            processes.train([""])


def test_processes_end_with_an_error_in_the_block() -> None:
    def fails(processes: ProbeProcesses) -> None:
        processes.grow(1)
        raise KeyError

    with pytest.raises(KeyError), ProbeProcesses(obeying) as processes:
        fails(processes)
    assert not multiprocessing.active_children()


SLEEPER = """
import signal

from tests.support.obeying import obeying
from tune_runs.preview.probe_processes import ProbeProcesses

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started deaf to it
    with ProbeProcesses(obeying) as processes:
        processes.grow(1)
        print("ready", flush=True)
        processes.train(["sleep 60"])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_the_one_that_started_them(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "sleeper.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    ) as sleeper:
        assert sleeper.stdout is not None
        assert sleeper.stdout.readline() == b"ready\n"
        children = psutil.Process(sleeper.pid).children(recursive=True)
        assert children
        if number == signal.SIGINT:
            os.killpg(sleeper.pid, number)  # as a terminal does: to all of them
        else:
            sleeper.send_signal(number)
        sleeper.wait(120)
    _, alive = psutil.wait_procs(children, timeout=100)
    assert not alive


def test_peak_bytes_covers_this_process_since_its_start() -> None:
    before = peak_bytes(torch.device("cpu"))
    held = np.ones(before + 64 * MIB, dtype=np.uint8)
    grown = peak_bytes(torch.device("cpu"))
    del held
    assert grown >= before + 64 * MIB
    assert peak_bytes(torch.device("cpu")) > before + 60 * MIB, "the peak does not fall"


@needs_gpu
def test_peak_bytes_of_a_gpu() -> None:
    device = torch.device("cuda")
    held = torch.ones(64 * MIB, dtype=torch.uint8, device=device)
    assert peak_bytes(device) >= held.numel()
