from __future__ import annotations

import pytest
import torch
from torch import nn

from absgd.config.sections import ModelConfig
from absgd.errors import UserError
from absgd.models import CifarResNet, EightLayerCNN, TorchvisionResNet, build_model
from absgd.registry.model_table import MODELS
from tests.contracts.models import ModelContract


@pytest.mark.parametrize("name", MODELS)
class TestEveryModel(ModelContract):
    @pytest.fixture
    def config(self, name: str) -> ModelConfig:
        return ModelConfig(name=name)


@pytest.mark.parametrize(
    ("name", "kind", "depth"),
    [
        *((f"resnet{depth}", CifarResNet, depth) for depth in (8, 14, 20, 32, 44, 56)),
        ("cnn8", EightLayerCNN, 8),
        ("resnet18_cifar", TorchvisionResNet, 18),
        ("resnet34_cifar", TorchvisionResNet, 34),
        ("resnet18", TorchvisionResNet, 18),
        ("resnet50", TorchvisionResNet, 50),
    ],
)
def test_build_model_gives_the_named_depth(name: str, kind: type[nn.Module], depth: int) -> None:
    model = build_model(ModelConfig(name=name, dropout=0.2), in_channels=3, num_classes=100)
    assert isinstance(model, kind)
    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    shortcuts = [layer for layer in layers if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)]
    projections = 4 if name == "resnet50" else len(shortcuts)  # its blocks have 1x1 convolutions too
    assert len(layers) - projections == depth
    assert (model.classifier.out_features, model.dropout.p, model.training) == (100, 0.2, True)


def test_build_model_leaves_the_linear_cifar_resnet_as_it_was() -> None:
    """Records of earlier versions contain seeds; the same seed must give the same initial weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weight = build_model(ModelConfig(name="resnet8"), in_channels=1, num_classes=10).classifier.weight
    assert weight.flatten()[:3].tolist() == pytest.approx([-0.133539, 0.067657, -0.221557], abs=1e-6)


def test_build_model_refuses_weights_for_images_that_are_not_rgb() -> None:
    config = ModelConfig(name="resnet18", weights="absent.pth")
    with pytest.raises(UserError, match=r"expected images of 3 channels with `weights`, got 1 channel \(model.weights"):
        build_model(config, in_channels=1, num_classes=10)
