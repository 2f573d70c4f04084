"""Small complete searches on a real Ray."""

from __future__ import annotations

import errno
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from absgd import records
from absgd.config import RunConfig
from absgd.datasets import load_splits
from absgd.errors import UserError
from absgd.training import Trainer
from tests.support.ray_searches import SMALL, search, small
from tune_runs.request.recorded_space import recorded
from tune_runs.request.search_request import SearchFailed, new_request, resume_request
from tune_runs.run_search import run_search

LEFT = (".lock", ".space.yaml.abcd1234")
"""Files of a driver that was killed before it wrote the request."""


@pytest.fixture(scope="module")
def finished(ray: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder of a search, in which another had only begun, and what the search printed."""
    folder = tmp_path_factory.mktemp("small")
    for name in LEFT:
        (folder / name).touch()
    found, printed = search(small(), folder)
    assert found
    return folder, printed


def test_run_folder_is_complete_and_plain(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    trials = pd.read_parquet(folder / "trials.parquet")
    epochs = pd.read_parquet(folder / "epochs.parquet")
    assert set(trials.status) == {"completed"}
    assert trials.groupby(["scenario", "phase"]).size().tolist() == [1, 2, 1, 2]
    assert len(epochs) == 4 * len(trials)
    assert trials.split_hash.nunique() == 2
    assert trials.test_accuracy.isna().all()
    assert (trials.wall_s > 0).all()
    assert json.loads((folder / "environment.json").read_text())["sessions"][0]["packages"]["ray"]
    for scenario in trials.scenario.unique():
        assert (folder / "scenarios" / scenario / "study.journal").is_file()
        assert (folder / "best" / f"{scenario}.yaml").is_file()
        labels = pd.read_parquet(folder / "scenarios" / scenario / "train_labels.parquet")
        assert len(labels) == sum(trials[trials.scenario == scenario].class_counts.iloc[0])


def test_summary_names_best_control_and_files(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    trials = pd.read_parquet(folder / "trials.parquet").query("scenario == 'digits-exp-0.1'")
    best = trials.query("phase == 'search'").metric_last.max()
    control = trials.query("phase == 'control'").metric_last.iloc[0]
    (line,) = [line for line in printed.splitlines() if line.strip().startswith("digits-exp-0.1")]
    assert line.split()[3:5] == [f"{best:.4f}", f"{control:.4f}"]  # after the scenario and `trial N`
    assert f"{folder}/trials.parquet" in printed
    assert f"absgd-train --config {folder}/best/digits-exp-0.1.yaml" in printed


def test_best_trial_trains_again_to_the_same_bits(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    trials = pd.read_parquet(folder / "trials.parquet")
    epochs = pd.read_parquet(folder / "epochs.parquet")
    config = RunConfig.from_yaml(folder / "best" / "digits-step-0.1.yaml")
    assert config.attention is not None
    is_best = (trials.scenario == "digits-step-0.1") & (trials.lam == config.attention.lam)
    (trial_id,) = trials.trial_id[is_best]
    again = [record.val_loss for record in Trainer(config, load_splits(config)).epochs()]
    assert again == epochs.val_loss[epochs.trial_id == trial_id].tolist()


def test_saved_space_reads_back_equal(finished: tuple[Path, str]) -> None:
    assert resume_request(finished[0]).space == recorded(small())


def test_resume_of_a_finished_run_trains_nothing(ray: None, finished: tuple[Path, str]) -> None:
    folder, _ = finished
    before = pd.read_parquet(folder / "epochs.parquet")
    assert run_search(resume_request(folder), Console(file=io.StringIO())) == "complete"
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "epochs.parquet"), before)


def test_existing_folder_is_refused(finished: tuple[Path, str]) -> None:
    with pytest.raises(UserError, match="exists: continue it with `--resume"):
        new_request(small(), finished[0])


def test_failing_trials_are_rows_with_their_error(ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(ray_config: dict[str, Any], image_store: Any) -> None:
        raise RuntimeError("out of paper")

    monkeypatch.setattr("tune_runs.driver.drive.train_trial", broken)
    found, printed = search(small(scenarios=[{}], num_trials=1), tmp_path / "broken")
    assert not found
    trials = pd.read_parquet(tmp_path / "broken" / "trials.parquet")
    assert set(trials.status) == {"failed"}
    assert trials.error.str.contains("out of paper").all()
    assert "trial digits-0000 failed: RuntimeError: out of paper" in printed
    assert "out of paper" in (tmp_path / "broken" / "errors" / "digits-0000.txt").read_text()
    assert not (tmp_path / "broken" / "best").exists()


def test_time_budget_ends_the_search_with_whole_records(ray: None, tmp_path: Path) -> None:
    space = small(scenarios=[{}], num_trials=500, time_budget=2, base={**SMALL["base"], "epochs": 50})
    search(space, tmp_path / "short")
    trials = pd.read_parquet(tmp_path / "short" / "trials.parquet")
    assert len(trials) < 500
    cut = trials.query("status == 'interrupted'")
    assert 0 < len(cut) <= 3
    assert cut.error.str.contains("time budget").all()
    assert set(trials.status) <= {"completed", "interrupted"}
    assert (
        len(pd.read_parquet(tmp_path / "short" / "epochs.parquet"))
        == (trials.epochs_trained + trials.epochs_inherited).sum()
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resources": {"cpu": 1000}}, "expected resources of a trial that fit on one node"),
        ({"base": {**SMALL["base"], "augmentation": {"pad": 9}}}, r"expected `pad` < 8 .* \(augmentation.pad\)"),
        ({"metric": "val_many_accuracy"}, "no class of `digits-exp-0.1` in that group has"),
        ({"base": {**SMALL["base"], "data": {"name": "digits", "val_per_class": 500}}}, "val_per_class"),
        ({"base": {**SMALL["base"], "data": {"name": "cifar10", "root": "nowhere"}}}, "data.root"),
        ({"trunks": "/proc/none"}, r"cannot write to /proc/none: .* \(trunks\)"),
    ],
)
def test_impossible_search_is_refused_before_anything_is_created(
    ray: None, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        search(small(**changes), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_full_disk_ends_the_search_with_its_own_error(
    ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = records.write_table, iter(range(1000))

    def full_after_a_while(path: Path, table: Any) -> None:
        if next(calls) > 4:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, table)

    monkeypatch.setattr(records, "write_table", full_after_a_while)
    with pytest.raises(SearchFailed, match="No space left"):
        search(small(num_trials=8), tmp_path / "full")


def test_damaged_journal_is_named_on_resume(finished: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(finished[0], tmp_path / "run")
    journal = tmp_path / "run" / "scenarios" / "digits-exp-0.1" / "study.journal"
    journal.write_text("{not json\n" + journal.read_text())
    with pytest.raises(UserError, match=r"cannot read the study .*study.journal: damaged"):
        run_search(resume_request(tmp_path / "run"), Console(file=io.StringIO()))


def test_folder_of_a_driver_killed_before_it_wrote_the_request_is_reused(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    assert (folder / "trials.parquet").is_file()
    assert not (folder / ".space.yaml.abcd1234").exists()


def test_folder_in_use_is_refused(ray: None, finished: tuple[Path, str]) -> None:
    from filelock import FileLock

    with FileLock(finished[0] / ".lock"), pytest.raises(UserError, match="in use by another absgd-tune"):
        run_search(resume_request(finished[0]), Console(file=io.StringIO()))


def test_ray_started_here_listens_on_loopback_only(ray: None) -> None:
    """Reads the kernel's table of listening sockets of this process and its Ray's processes."""
    import psutil

    def listening(process: Any) -> set[str]:
        try:
            connections = process.net_connections(kind="inet")
        except psutil.NoSuchProcess:
            return set()
        return {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}

    own = psutil.Process()
    addresses = set().union(*(listening(process) for process in (own, *own.children(recursive=True))))
    assert addresses
    assert addresses <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def test_runs_that_diverge_at_once_are_rows_and_the_search_continues(ray: None, tmp_path: Path) -> None:
    """Their only report has no metric, which Ray must not demand."""
    learning_rate = {"optimizer.lr": {"choices": [0.02, 1e30]}}
    point = {"optimizer.lr": 1e30, "lam": 5, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 1}
    space = small(scenarios=[{}], search={**SMALL["search"], **learning_rate}, enqueue=[point], num_trials=3)
    found, printed = search(space, tmp_path / "run")
    trials = pd.read_parquet(tmp_path / "run/trials.parquet").query("phase == 'search'").set_index("number")
    assert found, printed
    assert trials.status[0] == "diverged"
    assert (trials.status == "completed").any()
    assert trials.error[0].startswith("non-finite")
