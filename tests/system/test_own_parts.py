"""Searches over parts of a plugin with real Ray: in cohorts, with several processes, as the page says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from absgd import records
from tests.support.cluster_searches import write_own_space
from tests.support.commands import run
from tests.support.own_parts import PARTS, written
from tests.support.ray_searches import comparable, rows_of, trained_alone
from tests.support.tune_command import call

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.mark.usefixtures("own_tables", "ray")
def test_cohorts_train_the_runs_of_a_process_alone_and_ranks_train_them_too(tmp_path: Path) -> None:
    in_cohorts = trials_of(tmp_path, "cohort", {"cpu": 2, "gpu": 0, "cohort": 2})
    by_ranks = trials_of(tmp_path, "ranks", {"cpu": 1, "gpu": 0, "ranks_per_trial": 2})
    for row in in_cohorts:
        epochs = rows_of(tmp_path / "cohort", row["trial_id"])
        assert comparable(epochs) == trained_alone(row), row["trial_id"]
    assert {row["trial_id"] for row in by_ranks} == {row["trial_id"] for row in in_cohorts}


def trials_of(folder: Path, name: str, resources: dict[str, Any]) -> list[dict[str, Any]]:
    """Search over the plugin; return the rows of its trials, all completed."""
    write_own_space(folder, 3, resources)
    done = call("--space", folder / "own.yaml", "--plugin", written(folder), "--out", folder, "--name", name)
    assert done.exit_code == 0, done.output
    rows = records.read_rows(folder / name / records.TRIALS_FILE, records.TRIAL_SCHEMA)
    assert {row["status"] for row in rows} == {"completed"}
    return rows


def test_part_that_gives_something_else_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    write_own_space(tmp_path, 3, {"cpu": 1, "gpu": 0})
    file = written(tmp_path, PARTS.replace("labels_B, class_weights_C)", "labels_B, class_weights_C).mean()"))
    done = run(tmp_path, "absgd-tune", "--space", "own.yaml", "--plugin", str(file))
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert "expected one loss per sample, shape (3,) for 3 samples, from loss `sharp` of plugin `parts.py`" in line
    assert not (tmp_path / "runs").exists()


def test_lines_of_the_page_lead_to_a_verdict_and_the_winner_is_trained_again(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "docs" / "examples")
    plugin, example = ("--plugin", "docs/examples/own_parts.py"), "docs/examples/own_parts"
    assert run(tmp_path, "python", "docs/examples/make_shapes.py", "shapes").returncode == 0
    one = run(tmp_path, "absgd-train", *plugin, "--config", f"{example}_run.yaml", "--out", "runs/one", "--test")
    assert one.returncode == 0, one.stderr
    fewer = ("--num-trials", "4", "--set", "confirm.max_pairs=2")
    done = run(tmp_path, "absgd-tune", *plugin, "--space", f"{example}_space.yaml", *fewer)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "control `ldam-drw` is left out: expected `head` `linear` with model `mixer`" in " ".join(
        done.stdout.split()
    )
    assert "TensorBoard's record ends" not in done.stdout + done.stderr
    (verdict,) = json.loads((tmp_path / "runs/shapes/verdicts.json").read_text())["verdicts"]
    assert verdict["scenario"] == "shapes-exp-0.1"
    best = "runs/shapes/best/shapes-exp-0.1.yaml"
    again = run(tmp_path, "absgd-train", "--config", best, *plugin, "--out", "runs/again")
    assert again.returncode == 0, again.stderr
    trials = pd.read_parquet(tmp_path / "runs/shapes/trials.parquet")
    again_row = pd.read_parquet(tmp_path / "runs/again/trials.parquet").iloc[0]
    same = trials[(trials.phase == "search") & (trials.metric_last == again_row.metric_last)]
    assert again_row.loss_options in set(same.loss_options)
