from __future__ import annotations

import pytest
import torch
from torch import nn

from absgd.models import EightLayerCNN
from absgd.randomness import seeded_globally


def test_cnn_has_the_layers_of_the_recipe() -> None:
    model = EightLayerCNN(in_channels=3, num_classes=10)
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 64, 128, 128, 196, 196]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    linear = [(layer.in_features, layer.out_features) for layer in model.modules() if isinstance(layer, nn.Linear)]
    assert linear == [(4 * 4 * 196, 256), (256, 10)]
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_638_762


def test_cnn_names_its_first_fully_connected_layer() -> None:
    model = EightLayerCNN(in_channels=1, num_classes=10)
    assert [name for name, _ in model.named_parameters() if name.startswith("fc1.")] == ["fc1.weight"]
    assert isinstance(model.fc1, nn.Linear)


def test_cnn_reads_the_maps_of_32_pixels_as_they_are() -> None:
    model, images_NCHW = EightLayerCNN(3, 10).eval(), torch.randn(2, 3, 32, 32)
    maps_NCHW = model.convolutions(images_NCHW)
    assert maps_NCHW.shape == (2, 196, 4, 4)
    expected_NF = model.fc1_norm(model.fc1(maps_NCHW.flatten(1))).relu()
    assert torch.equal(model.features(images_NCHW), expected_NF)


def test_cnn_repeats_the_maps_of_8_pixels() -> None:
    model, images_NCHW = EightLayerCNN(1, 10).eval(), torch.randn(2, 1, 8, 8)
    maps_NCHW = model.convolutions(images_NCHW)
    assert maps_NCHW.shape == (2, 196, 1, 1)
    expected_NF = model.fc1_norm(model.fc1(maps_NCHW.expand(-1, -1, 4, 4).flatten(1))).relu()
    torch.testing.assert_close(model.features(images_NCHW), expected_NF)


@pytest.mark.parametrize("side", [8, 9, 15, 28, 33, 64])
def test_cnn_takes_any_side_from_8_pixels(side: int) -> None:
    assert EightLayerCNN(1, 3)(torch.zeros(2, 1, side, side)).shape == (2, 3)


def test_cnn_initial_weights_are_he_normal_with_zero_biases() -> None:
    with seeded_globally(0, "init"):
        model = EightLayerCNN(3, 10)
    assert model.fc1.weight.std().item() == pytest.approx((2 / 3136) ** 0.5, rel=0.01)
    assert isinstance(model.classifier, nn.Linear)
    assert not model.classifier.bias.any()
