from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from absgd.config import ModelConfig, ModelName
from absgd.models import CifarResNet, build_model
from absgd.models.build import MODELS
from absgd.randomness import seeded_globally


def _weights(seed: int) -> torch.Tensor:
    with seeded_globally(seed, "init"):
        model = build_model(ModelConfig(name="resnet8"), in_channels=1, num_classes=10)
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def test_models_are_those_the_config_names() -> None:
    assert set(MODELS) == set(get_args(ModelName))


@pytest.mark.parametrize("name", get_args(ModelName))
def test_build_model_gives_the_named_depth(name: ModelName) -> None:
    model = build_model(ModelConfig(name=name, dropout=0.2), in_channels=3, num_classes=100)
    assert isinstance(model, CifarResNet)
    assert sum(isinstance(module, (nn.Conv2d, nn.Linear)) for module in model.modules()) == int(name[6:])
    assert (model.classifier.out_features, model.dropout.p, model.training) == (100, 0.2, True)


def test_build_model_initial_weights_are_decided_by_the_seed() -> None:
    first = _weights(0)
    torch.rand(3)
    assert torch.equal(_weights(0), first)
    assert not torch.equal(_weights(1), first)


def test_build_model_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    _weights(0)
    assert torch.equal(torch.get_rng_state(), before)
