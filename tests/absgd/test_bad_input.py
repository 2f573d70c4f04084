"""absgd-train asked for what a loss, a noise or a model cannot do: refused before anything is trained or created."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
import yaml
from typer.testing import CliRunner

from absgd.cli import app
from absgd.training import Trainer
from tests.support.small_files import write_imagefolder

CONFIG: dict[str, Any] = {
    "data": {"name": "digits", "val_per_class": 10, "n_max": 20},
    "model": {"name": "resnet8"},
    "attention": {"lam": 2, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 1},
    "epochs": 3,
    "device": {"type": "cpu", "threads": 1},
}
# One image of each class, and its label moved to another class: some class gets none.
EMPTY_CLASS = {"data.n_max": 1, "noise.type": "symmetric", "noise.rate": 0.9}


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


def assert_refused(config_file: Path, values: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("training began")

    monkeypatch.setattr(Trainer, "epochs", refuse)
    before = sorted(Path().rglob("*"))
    words = [f"--set={key}={value}" for key, value in values.items()]
    result = CliRunner().invoke(app, ["--config", str(config_file), *words])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("absgd-train: error: expected ")
    assert message in line
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {**EMPTY_CLASS, "loss.name": "abldam", "model.head": "cosine"},
            "at least one training image in every class for the margins of `ldam`, got none in [",
        ),
        (
            {**EMPTY_CLASS, "loss.name": "balanced_softmax", "attention": "null"},
            "at least one training image in every class for `balanced_softmax`, got none in [",
        ),
        (
            {**EMPTY_CLASS, "class_balance.type": "reweight"},
            "at least one training image in every class for class weights, got none in [",
        ),
        (
            {"loss.name": "abfocal", "loss.focal_gamma": -1},
            "expected `loss.focal_gamma` >= 0.0, got -1 (--set: loss.focal_gamma)",
        ),
        (
            {"noise.type": "symmetric", "noise.rate": 1.2},
            "expected `noise.rate` < 1.0, got 1.2 (--set: noise.rate)",
        ),
        (
            {"noise.type": "cifar10_pairs", "noise.rate": 0.4},
            "expected noise `cifar10_pairs` with data `cifar10` only, got `digits` (--set: noise.type)",
        ),
    ],
    ids=["ldam", "balanced_softmax", "class_weights", "focal_gamma", "noise_rate", "cifar10_pairs"],
)
def test_impossible_run_exits_2_with_one_message_and_creates_nothing(
    config_file: Path, values: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_refused(config_file, values, message, monkeypatch)


def test_weights_of_another_architecture_exit_2_with_one_message_and_create_nothing(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_imagefolder(Path("data"), num_classes=2, per_class=3)
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), "resnet18.pth")
    values = {"data.name": "imagefolder", "data.root": "data", "data.val_per_class": 1, "data.n_max": "null"}
    values |= {"data.side": 32, "model.name": "resnet50", "model.weights": "resnet18.pth"}
    message = "expected the weights of `resnet50`, got a file whose `layer1.0.conv1.weight` is "
    assert_refused(config_file, values, message, monkeypatch)
