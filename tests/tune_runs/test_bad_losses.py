"""absgd-tune asked for what a loss, a noise or a model cannot do: refused before anything is trained or created."""

from __future__ import annotations

from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
import yaml
from typer.testing import CliRunner

from tests.support.small_files import write_imagefolder
from tests.support.spaces import changed
from tune_runs.cli import app
from tune_runs.ray_cluster.session import NodeSize

# One image of each class, and its label moved to another class: some class gets none.
EMPTY_CLASS = {"base/data/n_max": 1, "base/noise": {"type": "symmetric", "rate": 0.9}}


def assert_refused(changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    class NoStore(BytesIO):
        def wait_for_start(self) -> None:
            raise AssertionError("the search was begun")

    monkeypatch.chdir(folder)
    monkeypatch.setattr("tune_runs.whole_search.ray_session", nullcontext)
    monkeypatch.setattr("tune_runs.run_search.node_sizes", lambda: [NodeSize(cpus=2, gpus=0)])
    monkeypatch.setattr("tune_runs.run_search.is_started_here", lambda: True)
    monkeypatch.setattr("tune_runs.ray_cluster.image_store.ImageStore", NoStore)
    Path("x.yaml").write_text(yaml.safe_dump(changed(changes)))
    before = sorted(Path().rglob("*"))
    result = CliRunner().invoke(app, ["--space", "x.yaml"])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("absgd-tune: error: expected ")
    assert message in line
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {**EMPTY_CLASS, "base/loss": {"name": "abldam"}, "base/model/head": "cosine"},
            "at least one training image in every class for the margins of `ldam`, got none in [",
        ),
        (
            {**EMPTY_CLASS, "base/class_balance": {"type": "reweight"}},
            "at least one training image in every class for class weights, got none in [",
        ),
        (
            {"base/loss": {"name": "abfocal", "focal_gamma": -1}},
            "expected `base.loss.focal_gamma` >= 0.0, got -1 (x.yaml: base.loss.focal_gamma)",
        ),
        (
            {"base/loss": {"name": "abfocal"}, "search/loss.focal_gamma": {"low": -1, "high": 2}},
            "expected `loss.focal_gamma` >= 0.0, got -1",
        ),
        (
            {"base/noise": {"type": "symmetric", "rate": 1.2}},
            "expected `base.noise.rate` < 1.0, got 1.2 (x.yaml: base.noise.rate)",
        ),
        (
            {"scenarios": [{"noise": {"type": "symmetric", "rate": 1.2}}]},
            "expected `scenarios.0.noise.rate` < 1.0, got 1.2 (x.yaml: scenarios.0.noise.rate)",
        ),
        (
            {"scenarios": [{"noise": {"type": "cifar10_pairs", "rate": 0.4}}]},
            "expected noise `cifar10_pairs` with data `cifar10` only, got `digits` (x.yaml: scenarios.0.noise.type)",
        ),
    ],
    ids=["ldam", "class_weights", "focal_gamma", "range", "noise_rate", "scenario_rate", "cifar10_pairs"],
)
def test_impossible_space_exits_2_with_one_message_and_creates_nothing(
    changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert_refused(changes, message, monkeypatch, tmp_path)


def test_weights_of_another_architecture_exit_2_with_one_message_and_create_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = write_imagefolder(tmp_path / "data", num_classes=2, per_class=3)
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    changes = {
        "base/data": {"name": "imagefolder", "root": str(root), "val_per_class": 1, "side": 32},
        "base/model": {"name": "resnet50", "weights": "resnet18.pth"},
    }
    message = "expected the weights of `resnet50`, got a file whose `layer1.0.conv1.weight` is "
    assert_refused(changes, message, monkeypatch, tmp_path)
