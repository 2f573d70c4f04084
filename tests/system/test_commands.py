"""The real commands in separate processes, as a user starts them."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from absgd import records
from tests.support.commands import ON_CPU, put_wrong_modules, run
from tune_runs.confirmation.confirmation_table import value_text


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("user")
    put_wrong_modules(folder)
    words = ("absgd-tune", "--space", "quickstart", "--num-trials", "4", "--set", "seeds.pairs=2", "--no-confirm")
    with tempfile.TemporaryDirectory() as short:
        done = run(folder, *words, environment={**ON_CPU, "RAY_TMPDIR": short})
        logs = Path(short).glob("ray/session_2*/logs/python-core-worker-*")
        (folder / "workers.txt").write_text("\n".join(one.name for one in logs))
    return folder, done


def chosen(folder: Path) -> pd.Series[Any]:
    """Return the trial that the quickstart chose, as the file of its best configuration names it."""
    first, *_ = (folder / "runs/quickstart/best/digits-exp-0.05.yaml").read_text().splitlines()
    trials = pd.read_parquet(folder / "runs/quickstart/trials.parquet").set_index("trial_id", drop=False)
    return trials.loc[first.split()[-1].rstrip(",")]


def test_quickstart_prints_best_control_and_results_folder(
    searched: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = searched
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    trials = pd.read_parquet(folder / "runs/quickstart/trials.parquet")
    assert trials[trials.pair == 0].phase.value_counts().to_dict() == {"search": 4, "control": 1}
    assert set(trials[trials.pair > 0].phase) == {"control", "replicate"}
    search = trials.query("phase == 'search'")
    assert (search.epochs_inherited == search.switch_epoch).all()
    assert f"{chosen(folder).metric_last:.4f}" in done.stdout
    assert "report:  runs/quickstart/report.html" in done.stdout.splitlines()
    (verdict,) = records.read_verdicts(folder / "runs/quickstart/verdicts.json")
    settings = ", ".join(f"{name} {value_text(value)}" for name, value in verdict.settings.items())
    end = " ".join(done.stdout[done.stdout.index("verdict:") :].split())
    assert end == f"verdict: {verdict} {verdict.configuration}: {settings}", "the last words, on any width"
    assert "<h1>quickstart</h1>" in (folder / "runs/quickstart/report.html").read_text()
    assert "runs/quickstart/trials.parquet" in done.stdout
    assert "[4/4]" in done.stdout


def test_search_starts_each_of_its_processes_once(
    searched: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    """One for the images and one for each trial at once, though trials wait for trunks and wake several times.

    On a busy machine Ray 2.55, the oldest that is supported, starts two that do nothing.
    """
    folder, done = searched
    (at_once,) = re.findall(r"training, (\d+) at a time", done.stdout)
    needless = 2 if version("ray").startswith("2.55.") else 0
    assert 1 <= len((folder / "workers.txt").read_text().splitlines()) <= int(at_once) + 1 + needless


def test_printed_best_reproduces_exactly(searched: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = searched
    again = run(folder, "absgd-train", "--config", "runs/quickstart/best/digits-exp-0.05.yaml")
    assert again.returncode == 0, again.stderr
    best = chosen(folder)
    (row,) = pd.read_parquet(folder / "runs/digits-exp-0.05/trials.parquet").itertuples()
    assert row.metric_last == best.metric_last
    epochs = pd.read_parquet(folder / "runs/quickstart/epochs.parquet")
    losses = epochs[epochs.trial_id == best.trial_id].val_loss.tolist()
    assert pd.read_parquet(folder / "runs/digits-exp-0.05/epochs.parquet").val_loss.tolist() == losses


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
    put_wrong_modules(tmp_path)
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
        [sys.executable, "-P", "-c", code], cwd=searched[0], capture_output=True, text=True, check=True
    ).stdout
    num_rows = len(pd.read_parquet(searched[0] / "runs/quickstart/trials.parquet"))
    assert printed.strip() == f"{num_rows} []"


def test_second_search_of_the_same_name_is_refused(searched: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    again = run(searched[0], "absgd-tune", "--space", "quickstart")
    assert again.returncode == 2
    assert again.stderr.startswith("absgd-tune: error: runs/quickstart exists: continue it with")


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
