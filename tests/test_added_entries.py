"""A loss, a model and a data set added to the tables from outside work everywhere: no other module is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from absgd import records
from absgd.config import RunConfig
from absgd.config.sections import DataConfig, LossConfig, ModelConfig
from absgd.datasets import Images, load_splits, load_test
from absgd.errors import UserError
from absgd.losses import Criterion, cross_entropy
from absgd.models.classifier import HeadName, build_classifier
from absgd.registry.dataset_table import DATASETS, DatasetSpec
from absgd.registry.loss_table import LOSSES, LossSpec
from absgd.registry.model_table import MODELS, ModelSpec
from absgd.training import Trainer
from analysis.load import load
from analysis.report.html_report import report_html
from tests.support.fake_tuner import SPACE, FakeTuner, rising
from tests.support.made_up_scores import far
from tests.support.spaces import preview_of
from tune_runs.request.space_files import space_from_dict
from tune_runs.space.model import SearchSpace

ATTENTION = {"lam": 5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 1}
RUN: dict[str, Any] = {
    "data": {"name": "stripes", "val_per_class": 5},
    "model": {"name": "one_layer"},
    "loss": {"name": "abscaled", "ldam_scale": 10.0},
    "attention": ATTENTION,
    "epochs": 2,
    "batch_size": 16,
    "device": {"type": "cpu", "threads": 1},
}


class Scaled(Criterion):
    """Cross entropy of scaled cosines."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
        return cross_entropy(self.scale * logits_BC, labels_B, class_weights_C)


def build_scaled(config: LossConfig, _class_counts: Sequence[int]) -> Scaled:
    return Scaled(config.ldam_scale)


class OneLayer(nn.Module):
    """A convolution, its mean over the image, and a classifier."""

    def __init__(self, in_channels: int, num_classes: int, width: int, head: HeadName) -> None:
        super().__init__()
        convolution = nn.Conv2d(in_channels, width, kernel_size=3, padding=1)
        self.features = nn.Sequential(convolution, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = build_classifier(head, width, num_classes)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        logits_NK: Tensor = self.classifier(self.features(images_NCHW))
        return logits_NK


def build_one_layer(config: ModelConfig, in_channels: int, num_classes: int, width: int) -> OneLayer:
    return OneLayer(in_channels, num_classes, width, config.head)


def read_stripes(_config: DataConfig, part: str) -> Images:
    """Three classes of noise, distinguished by their brightness."""
    generator = np.random.default_rng(0 if part == "train" else 1)
    labels_N = np.repeat(np.arange(3), 30 if part == "train" else 10)
    noise_NCHW = generator.integers(60, size=(len(labels_N), 1, 8, 8))
    return Images((noise_NCHW + 60 * labels_N[:, None, None, None]).astype(np.uint8), labels_N)


@pytest.fixture(autouse=True)
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = LossSpec(f"{__name__}:build_scaled", "scaled cosines", settings=("ldam_scale",), head="cosine")
    monkeypatch.setitem(LOSSES, "scaled", loss)
    monkeypatch.setitem(MODELS, "one_layer", ModelSpec(f"{__name__}:build_one_layer", {"width": 4}))
    stripes = DatasetSpec(
        reader=f"{__name__}:read_stripes",
        num_classes=3,
        channels=1,
        side=8,
        mean=(0.35,),
        std=(0.2,),
        pad=1,
        flip=False,
        in_memory=True,
    )
    monkeypatch.setitem(DATASETS, "stripes", stripes)


def space(**changes: Any) -> SearchSpace:
    base = {name: RUN[name] for name in ("data", "model", "loss")}
    confirm = {"max_pairs": 2}
    asked = {**SPACE, "base": {**base, "epochs": 10}, "scenarios": [{}], "num_trials": 3, "confirm": confirm}
    return space_from_dict({**asked, **changes})


def test_config_takes_the_added_names_and_lists_them() -> None:
    config = RunConfig.from_dict(RUN)
    assert (config.loss.base, config.loss.is_attentive, config.unused_settings()) == ("scaled", True, [])
    assert config.stage_one().loss.name == "scaled"
    with pytest.raises(UserError, match="did you mean `abscaled`"):
        config.with_values({"loss.name": "abscale"})
    names = RunConfig.model_json_schema()["$defs"]
    assert "abscaled" in names["LossConfig"]["properties"]["name"]["enum"]
    assert "one_layer" in names["ModelConfig"]["properties"]["name"]["enum"]
    assert "stripes" in names["DataConfig"]["properties"]["name"]["enum"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model.head": "linear"}, "expected `head` `cosine` with loss `abscaled`, got `linear`"),
        ({"model.weights": "x.pth"}, "expected `weights` with model `resnet18` or `resnet50` only, got `one_layer`"),
        ({"optimizer.fc1_weight_decay": 0.1}, "with model `cnn8` only, got `one_layer`"),
        ({"loss.tce_prune_from": 1}, "expected `tce_prune_from` with loss `tce` or `abtce` only, got `abscaled`"),
        ({"data.validation": "own"}, "data `stripes` has no validation list of its own"),
        ({"noise.type": "cifar10_pairs", "noise.rate": 0.1}, "with data `cifar10` only, got `stripes`"),
    ],
)
def test_config_refuses_names_without_an_entry(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        RunConfig.from_dict(RUN).with_values(values)
    assert message in str(caught.value)


def test_config_names_settings_that_the_entries_do_not_read() -> None:
    config = RunConfig.from_dict(RUN).with_values({"loss.ldam_max_margin": 0.3, "data.side": 16})
    assert config.unused_settings() == [
        "loss `abscaled` is not `ldam`: `loss.ldam_max_margin` is not used",
        "data `stripes` is held in memory: `data.side` is not used",
    ]


def test_training_builds_and_reads_them() -> None:
    config = RunConfig.from_dict(RUN)
    trainer = Trainer(config, load_splits(config))
    found = list(trainer.epochs())
    assert isinstance(trainer.model, OneLayer)
    assert isinstance(trainer.objective.criterion, Scaled)
    assert trainer.objective.criterion.scale == 10.0
    assert [record.stage for record in found] == [1, 2]
    assert torch.isfinite(torch.tensor([record.train_loss for record in found])).all()
    assert len(trainer.test(load_test(config)).test_recall) == 3


def test_space_is_checked_and_previewed() -> None:
    with pytest.raises(UserError, match="expected `head` `cosine` with loss `abscaled`, got `linear`"):
        space(
            base={
                "data": RUN["data"],
                "model": {"name": "one_layer", "head": "linear"},
                "loss": RUN["loss"],
                "epochs": 10,
            }
        )
    numbers = preview_of(space(), [(2, 0)])
    assert [cost.name for cost in numbers.scenarios] == ["stripes"]


def test_search_confirms_against_its_controls_and_the_report_has_their_titles(tmp_path: Path) -> None:
    FakeTuner(space(), tmp_path / "run", rising, test_score=far).run()
    trials = pd.read_parquet(tmp_path / "run" / records.TRIALS_FILE)
    assert trials[trials.phase == "control"].loss.tolist() == ["scaled"]
    confirmed = trials[trials.phase == "confirm"].drop_duplicates("candidate").set_index("candidate")
    assert {"best-1", "scaled", "scaled-lr", "ce", "ce-lr", "ldam-drw", "focal"} <= set(confirmed.index)
    heads = confirmed["head"].to_dict()
    assert {name for name, head in heads.items() if head == "cosine"} == {"best-1", "scaled", "scaled-lr", "ldam-drw"}
    runs = load(tmp_path / "run")
    assert runs.best().configuration.tolist() == ["best-1"]
    page = report_html(runs)
    assert "scaled cosines" in page
    assert "scaled cosines at lr / ab_alpha" in page
