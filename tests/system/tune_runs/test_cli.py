"""`absgd-tune --measure` with the processes that it starts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import tune_runs
from tests.support.fake_tuner import SPACE
from tests.support.own_parts import written
from tests.support.tune_command import call, measure_briefly, write
from tests.support.waiting import wait_until


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("own_tables")
def test_measure_prints_a_preview_with_an_estimate_and_proposes_resources(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both come from processes of their own, which read the plugin too."""
    measure_briefly(monkeypatch)
    base = {**SPACE["base"], "data": {"name": "digits", "n_max": 20}, "loss": {"name": "absharp"}}
    write(here / "s.yaml", base=base)
    result = call("--space", "s.yaml", "--plugin", written(here), "--measure")
    assert result.exit_code == 0, result.output
    assert "absgd-tune: measuring digits-exp-0.1 (1 of 2)" in result.stderr
    assert "absgd-tune: probing digits-exp-0.1: 1" in result.stderr
    assert "s an epoch on this machine" in result.stdout
    assert re.search(r"\d trials? at once", result.stdout), "on a busy machine one alone may be the fastest"
    is_proposed = re.search(r"proposed +resources: \{cpu: \d+, gpu: [\d.]+", result.stdout)
    assert is_proposed or "Measure again when it is idle" in result.stdout, "a busy machine proposes nothing"
    assert sorted(path.name for path in here.iterdir()) == ["parts.py", "s.yaml"]


def test_interrupted_probe_ends_its_processes(here: Path) -> None:
    write(here / "s.yaml", base={**SPACE["base"], "data": {"name": "digits", "n_max": 20}})
    words = [sys.executable, "-c", "from tune_runs.cli import main; main()", "--space", "s.yaml", "--measure"]
    environment = {**os.environ, "PYTHONPATH": str(Path(tune_runs.__file__).parents[1])}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as command:
        assert command.stderr is not None
        while "probing" not in (line := command.stderr.readline()):
            assert line, "ended before"
        wait_until(lambda: bool(psutil.Process(command.pid).children(recursive=True)), command)
        time.sleep(1)
        children = psutil.Process(command.pid).children(recursive=True)
        os.killpg(command.pid, signal.SIGINT)  # as a terminal does: to all of them
        output, errors = command.communicate(timeout=300)
    assert command.returncode == 130
    assert errors.splitlines()[-1] == "absgd-tune: interrupted"
    assert "Traceback" not in errors
    assert "s an epoch on this machine" in output, "earlier results are kept"
    assert children
    assert not psutil.wait_procs(children, timeout=100)[1]
