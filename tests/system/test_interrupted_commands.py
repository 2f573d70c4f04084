"""Commands that are interrupted or killed, and the commands that continue them, in separate processes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml

from absgd import records
from tests.support.commands import replaced_table, run, started
from tests.support.ray_searches import SEVERAL_AT_ONCE, SMALL, comparable, rows_of, trained_alone
from tests.support.tune_command import call
from tests.support.waiting import TIMEOUT_S, wait_until

LONG_EPOCHS = 100
"""Number of epochs that lets an interrupt reach a run while it trains: seconds, in which the tables are written."""
LONG_TRIALS = 6
"""More trials than train at once, so that some still train when the first has ended, however busy the machine is."""
LONG_SPACE: dict[str, Any] = {
    **SMALL,
    "name": "cut",
    "base": {**SMALL["base"], "epochs": LONG_EPOCHS},
    "scenarios": SMALL["scenarios"][:1],
    "resources": SEVERAL_AT_ONCE,
    "num_trials": LONG_TRIALS,
    "confirm": None,
}


def write_long_space(folder: Path) -> None:
    (folder / "long.yaml").write_text(yaml.safe_dump(LONG_SPACE))


def test_interrupts_and_kills_of_a_search_lose_nothing_that_is_finished(tmp_path: Path) -> None:
    """Ctrl-C while stage one is trained, a worker killed, then the driver: each time it resumes as it says."""
    write_long_space(tmp_path)
    run_folder = tmp_path / "runs/cut"
    trials, trunk = run_folder / "trials.parquet", run_folder / "scenarios/digits-exp-0.1/trunks"
    interrupt(tmp_path, lambda: bool(list(trunk.glob("*/epoch-*.pt"))), "--space", "long.yaml")
    assert "running" not in set(pd.read_parquet(trials).status)
    with started(tmp_path, "absgd-tune", "--resume", "runs/cut") as process:
        wait_until(lambda: len(list(run_folder.glob("scenarios/*/checkpoints/*/*.pt"))) > 1, process)
        training_process(process).kill()
        wait_until(lambda: {"completed", "running"} <= set(replaced_table(trials).status), process)
        process.kill()
        process.wait()
    before = pd.read_parquet(trials)
    assert before.restarts.sum() == 1
    done = before.query("status in ('completed', 'pruned')").set_index("trial_id")
    assert "running" in set(before.status)
    resumed = run(tmp_path, "absgd-tune", "--resume", "runs/cut", "--extend", "1")
    assert resumed.returncode == 0, resumed.stderr
    after = assert_completed_around(done, trials, num_trials=LONG_TRIALS + 1)
    epochs = pd.read_parquet(run_folder / "epochs.parquet")
    assert not epochs.duplicated(["trial_id", "epoch"]).any()
    assert len(epochs) == (after.epochs_trained + after.epochs_inherited).sum()
    (row,) = (row for row in records.read_rows(trials, records.TRIAL_SCHEMA) if row["phase"] == "control")
    assert (row["epochs_trained"], row["epochs_inherited"]) == (LONG_EPOCHS, 0)
    assert comparable(rows_of(run_folder, row["trial_id"])) == trained_alone(row)
    other = tmp_path / "other.yaml"
    other.write_text((run_folder / "space.yaml").read_text().replace("seed: 0", "seed: 1"))
    refused = run(tmp_path, "absgd-tune", "--resume", "runs/cut", "--space", "other.yaml")
    assert refused.returncode == 2
    assert "`seed` was 0, is now 1" in refused.stderr


def interrupt(folder: Path, condition: Callable[[], bool], *words: str) -> None:
    """Run `absgd-tune`, send SIGINT once `condition` holds, and check that it ends with the command to resume."""
    with started(folder, "absgd-tune", *words) as process:
        wait_until(condition, process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, errors
    assert errors.strip().splitlines()[-1] == "absgd-tune: interrupted; continue with: absgd-tune --resume runs/cut"


def assert_completed_around(before: pd.DataFrame, trials: Path, num_trials: int) -> pd.DataFrame:
    """Assert that all trials and their control have ended and earlier rows are unchanged; return the table."""
    after = pd.read_parquet(trials).set_index("trial_id")
    assert after.phase.value_counts().to_dict() == {"search": num_trials, "control": 1}
    assert set(after.status) <= {"completed", "pruned"}
    assert after.loc[before.index, "metric_last"].equals(before.metric_last)
    return after


def training_process(search: subprocess.Popen[str]) -> psutil.Process:
    """A process that trains; waits for one, since the checkpoints may be of before an interrupt."""
    found: list[psutil.Process] = []

    def has_started() -> bool:
        children = psutil.Process(search.pid).children(recursive=True)
        found.extend(one for one in children if "ImplicitFunc" in title(one))
        return bool(found)

    wait_until(has_started, search)
    return found[0]


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


SMALL_SPACE = """
name: small
base:
  data: {name: digits, val_per_class: 5, n_max: 20}
  model: {name: resnet8}
  epochs: 30
  batch_size: 32
scenarios: [{imbalance: {type: exp, ratio: 0.1}}]
search:
  lam: {low: 0.5, high: 50, log: true}
  ab_alpha: {low: 0.1, high: 0.9}
  gamma: {low: 0.1, high: 1.0}
  switch_epoch: {low: 2, high: 3}
num_trials: 2
early_stopping: null
seeds: {pairs: 1}
confirm: {max_pairs: 2, controls: [ce, ce-lr, cb-ce-drw]}
"""


def test_search_is_confirmed_later_and_an_interrupted_confirmation_resumes(ray: None, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL_SPACE)
    searched = call("--space", tmp_path / "small.yaml", "--no-confirm", "--out", tmp_path / "runs")
    assert searched.exit_code == 0, searched.output
    trials = tmp_path / "runs/small/trials.parquet"
    assert pd.read_parquet(trials).phase.value_counts().to_dict() == {"search": 2, "control": 1}

    def one_is_confirmed() -> bool:
        return "completed" in set(replaced_table(trials).query("phase == 'confirm'").status)

    with started(tmp_path, "absgd-tune", "--confirm", "runs/small") as process:
        wait_until(one_is_confirmed, process)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, errors
    assert errors.strip().splitlines()[-1] == "absgd-tune: interrupted; continue with: absgd-tune --confirm runs/small"
    before = pd.read_parquet(trials).query("phase == 'confirm' and status == 'completed'").set_index("trial_id")
    assert len(before) > 0
    resumed = run(tmp_path, "absgd-tune", "--resume", "runs/small")
    assert resumed.returncode == 0, resumed.stderr
    after = pd.read_parquet(trials).query("phase == 'confirm'").set_index("trial_id")
    assert len(before) < len(after)
    counts = after.groupby("candidate").size().to_dict()
    counts.pop("ce-lr", None)  # it is trained where the configuration leads `ce`
    assert counts == {"best-1": 2, "cb-ce-drw": 2, "ce": 2}
    assert set(after.status) == {"completed"}
    columns = ["metric_last", "test_balanced_accuracy", "started_at"]
    assert after.loc[before.index, columns].equals(before[columns])
    (best,) = (tmp_path / "runs/small/best").iterdir()
    assert "confirmed on fresh seeds: best-1" in best.read_text()
    assert f"[confirmed {len(after)}/{len(after)}]" in resumed.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_training_names_the_command_to_resume(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "long.yaml").write_text(
        "data: {name: digits}\nmodel: {name: resnet8}\nloss: {name: ce}\nepochs: 3000\n"
        "device: {type: cpu, threads: 1}\n"
    )
    with started(tmp_path, "absgd-train", "--config", "long.yaml") as process:
        wait_until((tmp_path / "runs/long/last.pt").exists, process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, errors
    assert "absgd-train --resume runs/long" in errors
    assert "Traceback" not in errors
    assert pd.read_parquet(tmp_path / "runs/long/trials.parquet").status[0] == "interrupted"
