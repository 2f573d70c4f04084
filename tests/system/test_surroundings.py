"""Output, terminal and temporary folder that fail a command: it goes on, or ends as it should."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.support.commands import ON_CPU, has_completed, put_wrong_modules, started
from tests.support.ray_searches import SMALL
from tests.support.small_files import write_imagefolder
from tests.support.waiting import TIMEOUT_S, wait_until

SPACE: dict[str, Any] = {
    **SMALL,
    "name": "small",
    "base": {**SMALL["base"], "epochs": 3},
    "scenarios": SMALL["scenarios"][:1],
    "search": {**SMALL["search"], "switch_epoch": {"choices": [1]}},
    "num_trials": 2,
    "early_stopping": None,
    "confirm": {"max_pairs": 2, "controls": ["ce"]},
}


def test_search_survives_the_end_of_its_output_and_a_long_temporary_folder(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SPACE))
    temporary = tmp_path / ("t" * 90)
    temporary.mkdir()
    environment = {**ON_CPU, "TMPDIR": str(temporary), "PYTHONIOENCODING": "ascii"}
    with started(tmp_path, "absgd-tune", "--space", "small.yaml", environment=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("small: starting in runs/small")
        process.stdout.close()  # as `head -1` does
        errors = process.stderr.read()
        assert process.wait(TIMEOUT_S) == 0, errors
    assert errors.count("is too long for Ray's sockets") == 1
    assert "Broken pipe" not in errors
    assert "Traceback" not in errors
    trials = pd.read_parquet(tmp_path / "runs/small/trials.parquet")
    assert set(trials.status) == {"completed"}
    assert set(trials.phase) == {"control", "search", "confirm"}
    assert (tmp_path / "runs/small/report.html").exists()


def test_closed_terminal_ends_a_search_which_says_how_to_resume_where_it_can(tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(yaml.safe_dump({**SPACE, "base": {**SPACE["base"], "epochs": 80}}))
    trials = tmp_path / "runs/small/trials.parquet"
    controller, terminal = os.openpty()
    is_closing = threading.Event()
    reader = threading.Thread(target=read_until, args=(controller, is_closing), daemon=True)
    reader.start()
    with started(tmp_path, "absgd-tune", "--space", "long.yaml", output=terminal) as process:
        os.close(terminal)
        try:
            wait_until(lambda: has_completed(trials), process)
        finally:
            is_closing.set()
            reader.join()  # a thread that reads would keep the terminal open
            os.close(controller)
        os.killpg(process.pid, signal.SIGHUP)  # as a kernel does when a connection ends
        os.killpg(process.pid, signal.SIGHUP)  # and then a shell
        assert process.wait(TIMEOUT_S) == 130
    assert set(pd.read_parquet(trials).status) <= {"completed", "interrupted"}
    note = (tmp_path / "runs/small/resume.txt").read_text()
    assert note == "absgd-tune: interrupted; continue with: absgd-tune --resume runs/small\n"


def test_readers_of_images_work_among_wrong_modules_and_in_a_long_temporary_folder(tmp_path: Path) -> None:
    write_imagefolder(tmp_path / "images", num_classes=2, per_class=6)
    data = {"name": "imagefolder", "root": "images", "val_per_class": 2, "side": 16, "workers": 2}
    config = {
        "data": data,
        "model": {"name": "resnet8"},
        "loss": {"name": "ce"},
        "epochs": 1,
        "batch_size": 4,
        "device": {"type": "cpu"},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    put_wrong_modules(tmp_path)
    temporary = tmp_path / ("t" * 90)
    temporary.mkdir()
    environment = {**ON_CPU, "TMPDIR": str(temporary)}
    with started(tmp_path, "absgd-train", "--config", "run.yaml", environment=environment) as process:
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, errors) == (0, "")
    assert pd.read_parquet(tmp_path / "runs/run/trials.parquet").status[0] == "completed"


def read_until(terminal: int, is_closing: threading.Event) -> None:
    """Read what a terminal shows, so that nobody waits for it, until it is about to be closed."""
    while not is_closing.is_set():
        if select.select([terminal], [], [], 0.1)[0]:
            with suppress(OSError):  # the command has ended
                os.read(terminal, 10_000)


@pytest.mark.parametrize("words", [("absgd-tune", "--schema"), ("absgd-tune", "--help"), ("absgd-report", "--help")])
def test_reader_that_wants_one_line_is_no_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    with started(tmp_path, *words) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize(("module", "word"), [("absgd", "--recipe"), ("tune_runs", "--space"), ("analysis", "--rule")])
def test_module_is_the_command(tmp_path: Path, module: str, word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", module, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert word in done.stdout
