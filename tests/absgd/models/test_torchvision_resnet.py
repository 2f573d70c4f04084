from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision

from absgd.models import TorchvisionResNet
from absgd.randomness import seeded_globally


def num_parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50"])
def test_imagenet_resnet_is_torchvisions(architecture: Any) -> None:
    reference = torchvision.models.get_model(architecture, weights=None).eval()
    model = TorchvisionResNet(architecture, "imagenet", in_channels=3, num_classes=1000).eval()
    assert num_parameters(model) == num_parameters(reference)
    state = reference.state_dict()
    model.classifier.load_state_dict({name: state.pop(f"fc.{name}") for name in ("weight", "bias")})
    model.features.load_state_dict(state)
    images_NCHW = torch.randn(2, 3, 64, 64)
    assert torch.equal(model(images_NCHW), reference(images_NCHW))


@pytest.mark.parametrize(("architecture", "count"), [("resnet18", 11_173_962), ("resnet34", 21_282_122)])
def test_cifar_stem_parameter_count_for_ten_classes(architecture: Any, count: int) -> None:
    assert num_parameters(TorchvisionResNet(architecture, "cifar", in_channels=3, num_classes=10)) == count


@pytest.mark.parametrize(("stem", "side"), [("cifar", 4), ("imagenet", 1)])
def test_stem_decides_the_side_of_the_last_maps(stem: Any, side: int) -> None:
    model, shapes = TorchvisionResNet("resnet18", stem, 3, 10).eval(), []
    model.features.layer4.register_forward_hook(lambda _module, _inputs, maps: shapes.append(maps.shape))
    model(torch.zeros(1, 3, 32, 32))
    assert shapes == [(1, 512, side, side)]


def test_features_are_torchvisions_pooled_maps() -> None:
    model = TorchvisionResNet("resnet50", "imagenet", 3, 10).eval()
    assert model.num_features == 2048
    assert model.features(torch.zeros(1, 3, 32, 32)).shape == (1, 2048)


@pytest.mark.parametrize(("stem", "kernel"), [("cifar", (3, 3)), ("imagenet", (7, 7))])
def test_one_channel_gets_its_own_first_convolution(stem: Any, kernel: tuple[int, int]) -> None:
    with seeded_globally(0, "init"):
        model = TorchvisionResNet("resnet18", stem, in_channels=1, num_classes=10)
    weight = model.features.conv1.weight
    assert weight.shape == (64, 1, *kernel)
    assert weight.std().item() == pytest.approx((2 / (64 * kernel[0] ** 2)) ** 0.5, rel=0.1)
