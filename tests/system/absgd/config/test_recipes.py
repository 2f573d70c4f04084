"""Runs of two epochs of the shipped recipes on small files in the data sets' own formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from absgd.cli import app
from absgd.config import RunConfig
from absgd.config.locations import with_recorded_places
from absgd.config.recipes import load_recipe, shipped_recipes
from tests.support.small_files import write_cifar10, write_cifar100, write_clothing1m

CLOTHING = ("clothing1m_absce", "clothing1m_abce", "clothing1m_abtce")
SMALL: dict[str, tuple[Callable[[Path], Path], dict[str, object]]] = {
    "cifar10_exp_0.1": (
        lambda root: write_cifar10(root, per_class=12),
        {"data.val_per_class": 2, "class_balance.from_epoch": 1, "schedule.warmup_epochs": 1},
    ),
    "cifar100_step_0.01": (
        lambda root: write_cifar100(root, per_class=6),
        {
            "data.val_per_class": 2,
            "class_balance.from_epoch": 1,
            "schedule.warmup_epochs": 1,
            "imbalance.ratio": 0.25,  # 0.01 of four images is none
        },
    ),
    **{
        name: (
            lambda root: write_clothing1m(root, per_class=2),
            {
                "data.side": 32,
                "data.workers": 0,
                "model.weights": None,
                **({} if name == CLOTHING[0] else {"model.name": "resnet18"}),
            },
        )
        for name in CLOTHING
    },
}


@pytest.mark.parametrize("name", shipped_recipes())
def test_recipe_trains_two_epochs_end_to_end(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train a recipe on small files in the data set's own format, with all its milestones moved to the second epoch."""
    write, values = SMALL[name]
    write(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    moved = {
        "epochs": 2,
        "attention.switch_epoch": 1,
        "schedule.milestones": [1],
        "data.root": "data",
        "device.type": "cpu",
        "device.threads": 1,
    }
    words = [f"--set={key}={'null' if value is None else value}" for key, value in {**moved, **values}.items()]
    result = CliRunner().invoke(app, ["--recipe", name, *words, "--test"])
    assert result.exit_code == 0, result.output
    assert f"recorded in runs/{name}" in result.output
    trial = pd.read_parquet(f"runs/{name}/trials.parquet").iloc[0]
    assert (trial.status, trial.epochs_trained, trial.loss) == ("completed", 2, load_recipe(name).loss.name)
    assert 0 <= trial.test_accuracy <= 1
    epochs = pd.read_parquet(f"runs/{name}/epochs.parquet")
    assert epochs.stage.tolist() == [1, 2]
    assert epochs.log_u.notna().tolist() == [False, True]
    expected = load_recipe(name).with_values({**moved, **values}).to_dict()
    assert RunConfig.from_yaml(f"runs/{name}/config.yaml").to_dict() == with_recorded_places(expected)
    for checkpoint in Path("runs").rglob("*.pt"):  # ResNet-50's are 200 MB each, and pytest keeps folders
        checkpoint.unlink()
