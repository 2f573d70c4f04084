"""The real commands in separate processes, as a user starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml

from absgd import records
from tests.support.commands import has_completed, replaced_table, run, started
from tests.support.ray_searches import SMALL
from tests.support.waiting import TIMEOUT_S, wait_until


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("user")
    (folder / "analysis").mkdir()  # a package of the user with our name is not imported
    (folder / "analysis/__init__.py").write_text("raise SystemExit('the wrong package')")
    return folder, run(folder, "absgd-tune", "--space", "quickstart", "--num-trials", "4", "--no-confirm")


def test_quickstart_prints_best_control_and_results_folder(
    searched: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = searched
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    trials = pd.read_parquet(folder / "runs/quickstart/trials.parquet")
    assert trials.phase.value_counts().to_dict() == {"search": 4, "control": 1}
    search = trials.query("phase == 'search'")
    assert (search.epochs_inherited == search.switch_epoch).all()
    best = trials.query("phase == 'search' and status == 'completed'").metric_last.max()
    assert f"{best:.4f}" in done.stdout
    assert done.stdout.splitlines()[-1] == "report:  runs/quickstart/report.html"
    assert "<h1>quickstart</h1>" in (folder / "runs/quickstart/report.html").read_text()
    assert "runs/quickstart/trials.parquet" in done.stdout
    assert "[4/4]" in done.stdout


def test_printed_best_reproduces_exactly(searched: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = searched
    again = run(folder, "absgd-train", "--config", "runs/quickstart/best/digits-exp-0.05.yaml")
    assert again.returncode == 0, again.stderr
    trials = pd.read_parquet(folder / "runs/quickstart/trials.parquet")
    best = trials.query("phase == 'search' and status == 'completed'").metric_last.max()
    (row,) = pd.read_parquet(folder / "runs/digits-exp-0.05/trials.parquet").itertuples()
    assert row.metric_last == best
    epochs = pd.read_parquet(folder / "runs/quickstart/epochs.parquet")
    same = trials.query("phase == 'search' and status == 'completed' and metric_last == @best").trial_id.tolist()
    losses = [group.val_loss.tolist() for name, group in epochs.groupby("trial_id") if name in same]
    assert pd.read_parquet(folder / "runs/digits-exp-0.05/epochs.parquet").val_loss.tolist() in losses


def test_every_kind_of_forked_trial_is_its_config_trained_from_scratch_in_another_process(
    searched: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = searched
    clocks = ["train_s", "val_s", "images_per_s", "inherited", "run", "scenario", "trial_id"]
    rows = records.read_rows(folder / "runs/quickstart/trials.parquet", records.TRIAL_SCHEMA)
    epochs = pd.read_parquet(folder / "runs/quickstart/epochs.parquet")
    by_status = {row["status"]: row for row in rows if row["phase"] == "search"}
    for status, row in by_status.items():
        (folder / f"{status}.yaml").write_text(records.config_of(row).to_yaml())
        again = run(folder, "absgd-train", "--config", f"{status}.yaml", "--out", f"runs/{status}")
        assert again.returncode == 0, again.stderr
        forked = epochs[epochs.trial_id == row["trial_id"]].drop(columns=clocks).reset_index(drop=True)
        scratch = pd.read_parquet(folder / f"runs/{status}/epochs.parquet").drop(columns=clocks)
        assert forked.stage.isin([1]).any()
        pd.testing.assert_frame_equal(forked, scratch.head(len(forked)), check_exact=True)


def test_two_ranks_equal_one_process(tmp_path: Path) -> None:
    small = ("data.n_max=30", "data.val_per_class=10", "epochs=3", "attention.switch_epoch=1", "optimizer.lr=0.02")
    words = [word for setting in small for word in ("--set", setting)]
    (tmp_path / "run.yaml").write_text(
        "{data: {name: digits}, model: {name: resnet8}, "
        "attention: {lam: 2, gamma: 0.5, ab_alpha: 0.5, switch_epoch: 1}}"
    )
    for ranks in (1, 2):
        more = ("--set", f"device.ranks={ranks}", "--out", f"of{ranks}", "--device", "cpu")
        done = run(tmp_path, "absgd-train", "--config", "run.yaml", *words, *more)
        assert (done.returncode, done.stderr) == (0, "")
    one, two = (pd.read_parquet(tmp_path / f"of{ranks}/epochs.parquet") for ranks in (1, 2))
    # In float32 rounding grows from step to step, differently on each processor; test_ranks.py has float64.
    assert two.train_loss[0] == pytest.approx(one.train_loss[0], rel=1e-2)
    assert two.log_u.notna().tolist() == one.log_u.notna().tolist() == [False, True, True]
    assert two.log_u[1] == pytest.approx(one.log_u[1], abs=0.05)


def test_results_are_read_without_this_project(searched: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    code = (
        "import sys, pandas; frame = pandas.read_parquet('runs/quickstart/trials.parquet');"
        "print(len(frame), [name for name in ('absgd', 'tune_runs', 'ray', 'torch') if name in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=searched[0], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "5 []"


def test_second_search_of_the_same_name_is_refused(searched: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    again = run(searched[0], "absgd-tune", "--space", "quickstart")
    assert again.returncode == 2
    assert again.stderr.startswith("absgd-tune: error: runs/quickstart exists: continue it with")


LONG_EPOCHS = 200
"""Number of epochs that lets an interrupt reach a run while it trains."""
LONG_SPACE: dict[str, Any] = {
    **SMALL,
    "name": "cut",
    "base": {**SMALL["base"], "epochs": LONG_EPOCHS},
    "scenarios": SMALL["scenarios"][:1],
    "num_trials": 3,
    "confirm": None,
}


def write_long_space(folder: Path) -> None:
    (folder / "long.yaml").write_text(yaml.safe_dump(LONG_SPACE))


def test_interrupted_search_names_the_command_to_resume_which_works(tmp_path: Path) -> None:
    write_long_space(tmp_path)
    words = ("absgd-tune", "--space", "long.yaml")
    trials = tmp_path / "runs/cut/trials.parquet"
    with started(tmp_path, *words) as process:
        wait_until(lambda: has_completed(trials), process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, errors
    assert errors.strip().splitlines()[-1] == "absgd-tune: interrupted; continue with: absgd-tune --resume runs/cut"
    before = pd.read_parquet(trials).query("status in ('completed', 'pruned')").set_index("trial_id")
    assert "running" not in set(pd.read_parquet(trials).status)
    resumed = run(tmp_path, "absgd-tune", "--resume", "runs/cut")
    assert resumed.returncode == 0, resumed.stderr
    assert_completed_around(before, trials)


def test_search_interrupted_in_the_trunk_resumes_from_its_snapshots(tmp_path: Path) -> None:
    write_long_space(tmp_path)
    words = ("absgd-tune", "--space", "long.yaml", "--num-trials", "1", "--name", "cut")
    trunk = tmp_path / "runs/cut/scenarios/digits-exp-0.1/trunks"
    with started(tmp_path, *words) as process:
        wait_until(lambda: bool(list(trunk.glob("*/epoch-*.pt"))), process)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, errors
    resumed = run(tmp_path, "absgd-tune", "--resume", "runs/cut")
    assert resumed.returncode == 0, resumed.stderr
    whole = run(tmp_path, *words[:-1], "whole")
    assert whole.returncode == 0, whole.stderr
    control = "trial_id == 'digits-exp-0.1-control'"
    tables = [pd.read_parquet(tmp_path / f"runs/{name}/epochs.parquet").query(control) for name in ("cut", "whole")]
    assert tables[0].val_loss.tolist() == tables[1].val_loss.tolist()
    (row,) = pd.read_parquet(tmp_path / "runs/cut/trials.parquet").query(control).itertuples()
    assert (row.epochs_trained, row.epochs_inherited) == (LONG_EPOCHS, 0)


def test_killed_worker_and_killed_driver_lose_nothing_that_is_finished(tmp_path: Path) -> None:
    write_long_space(tmp_path)
    words = ("absgd-tune", "--space", "long.yaml")
    run_folder = tmp_path / "runs/cut"
    trials = run_folder / "trials.parquet"
    with started(tmp_path, *words) as process:
        wait_until(lambda: len(list(run_folder.glob("scenarios/*/checkpoints/*/*.pt"))) > 1, process)
        workers = [one for one in psutil.Process(process.pid).children(recursive=True) if "ImplicitFunc" in title(one)]
        workers[0].kill()
        wait_until(lambda: has_completed(trials), process)
        process.kill()
        process.wait()
    before = pd.read_parquet(trials)
    assert before.restarts.sum() == 1
    done = before.query("status in ('completed', 'pruned')").set_index("trial_id")
    assert "running" in set(before.status)
    resumed = run(tmp_path, "absgd-tune", "--resume", "runs/cut")
    assert resumed.returncode == 0, resumed.stderr
    after = assert_completed_around(done, trials)
    epochs = pd.read_parquet(run_folder / "epochs.parquet")
    assert not epochs.duplicated(["trial_id", "epoch"]).any()
    assert len(epochs) == (after.epochs_trained + after.epochs_inherited).sum()
    more = run(tmp_path, "absgd-tune", "--resume", "runs/cut", "--extend", "1")
    assert more.returncode == 0, more.stderr
    assert len(pd.read_parquet(trials)) == 5
    other = tmp_path / "other.yaml"
    other.write_text((run_folder / "space.yaml").read_text().replace("seed: 0", "seed: 1"))
    refused = run(tmp_path, "absgd-tune", "--resume", "runs/cut", "--space", "other.yaml")
    assert refused.returncode == 2
    assert "`seed` was 0, is now 1" in refused.stderr


def assert_completed_around(before: pd.DataFrame, trials: Path) -> pd.DataFrame:
    """Assert that three trials and their control have ended and earlier rows are unchanged; return the table."""
    after = pd.read_parquet(trials).set_index("trial_id")
    assert after.phase.value_counts().to_dict() == {"search": 3, "control": 1}
    assert set(after.status) <= {"completed", "pruned"}
    assert after.loc[before.index, "metric_last"].equals(before.metric_last)
    return after


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
  epochs: 5
  batch_size: 32
scenarios: [{imbalance: {type: exp, ratio: 0.1}}]
search:
  lam: {low: 0.5, high: 50, log: true}
  ab_alpha: {low: 0.1, high: 0.9}
  gamma: {low: 0.1, high: 1.0}
  switch_epoch: {low: 2, high: 3}
num_trials: 2
early_stopping: null
confirm: {top: 1, seeds: 2, controls: [ce, ce-lr, cb-ce-drw]}
"""


def test_search_is_confirmed_later_and_an_interrupted_confirmation_resumes(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL_SPACE)
    searched = run(tmp_path, "absgd-tune", "--space", "small.yaml", "--no-confirm")
    assert searched.returncode == 0, searched.stderr
    trials = tmp_path / "runs/small/trials.parquet"
    assert pd.read_parquet(trials).phase.value_counts().to_dict() == {"search": 2, "control": 1}

    def one_is_confirmed() -> bool:
        return (replaced_table(trials).query("phase == 'confirm'").status == "completed").any()

    with started(tmp_path, "absgd-tune", "--confirm", "runs/small") as process:
        wait_until(one_is_confirmed, process)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, errors
    assert errors.strip().splitlines()[-1] == "absgd-tune: interrupted; continue with: absgd-tune --confirm runs/small"
    before = pd.read_parquet(trials).query("phase == 'confirm' and status == 'completed'").set_index("trial_id")
    assert 0 < len(before) < 8
    resumed = run(tmp_path, "absgd-tune", "--resume", "runs/small")
    assert resumed.returncode == 0, resumed.stderr
    after = pd.read_parquet(trials).query("phase == 'confirm'").set_index("trial_id")
    assert after.groupby("candidate").size().to_dict() == {"best-1": 2, "cb-ce-drw": 2, "ce": 2, "ce-lr": 2}
    assert set(after.status) == {"completed"}
    columns = ["metric_last", "test_balanced_accuracy", "started_at"]
    assert after.loc[before.index, columns].equals(before[columns])
    (best,) = (tmp_path / "runs/small/best").iterdir()
    assert "confirmed on fresh seeds: best-1" in best.read_text()
    assert "[confirmed 8/8]" in resumed.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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


@pytest.mark.parametrize("name", ["absgd-tune", "absgd-train"])
def test_help_reads_like_a_manual(tmp_path: Path, name: str) -> None:
    shown = run(tmp_path, name, "--help")
    assert shown.returncode == 0
    for word in ("Usage", "Exit status", "--resume"):
        assert word in shown.stdout


def test_misspelt_option_exits_2(tmp_path: Path) -> None:
    shown = run(tmp_path, "absgd-tune", "--spce", "quickstart")
    assert shown.returncode == 2
    assert "No such option" in shown.stderr
