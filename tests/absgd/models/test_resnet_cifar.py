from __future__ import annotations

import pytest
import torch
from torch import nn

from absgd.models import CifarResNet, seed_dropout
from absgd.randomness import seeded_globally


@pytest.mark.parametrize(
    ("depth", "num_parameters"),
    [(8, 75_290), (14, 172_506), (20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018)],
)
def test_resnet_parameter_count_for_ten_classes(depth: int, num_parameters: int) -> None:
    model = CifarResNet(depth, in_channels=3, num_classes=10)
    assert sum(parameter.numel() for parameter in model.parameters()) == num_parameters
    assert sum(isinstance(module, (nn.Conv2d, nn.Linear)) for module in model.modules()) == depth


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 9, 15)])
def test_resnet_output_shapes(channels: int, height: int, width: int) -> None:
    model = CifarResNet(8, channels, num_classes=7)
    images_NCHW = torch.zeros(2, channels, height, width)
    assert model.features(images_NCHW).shape == (2, model.num_features) == (2, 64)
    assert model(images_NCHW).shape == (2, 7)


def test_resnet_stages_halve_the_side() -> None:
    model = CifarResNet(8, 1, 10)
    sides: list[tuple[int, ...]] = []
    for module in model.features:
        module.register_forward_hook(lambda _module, _inputs, output: sides.append(tuple(output.shape)))
    model(torch.zeros(1, 1, 9, 9))
    assert sides == [(1, 16, 9, 9)] * 4 + [(1, 32, 5, 5), (1, 64, 3, 3), (1, 64, 1, 1), (1, 64)]


def test_resnet_shortcut_strides_and_pads_channels_on_both_sides() -> None:
    block = next(module for module in CifarResNet(8, 1, 10).modules() if getattr(module, "stride", None) == 2).eval()
    nn.init.zeros_(block.get_parameter("conv2.weight"))
    inputs_NCHW = torch.rand(2, 16, 6, 6)
    outputs_NCHW = block(inputs_NCHW)
    assert torch.equal(outputs_NCHW[:, 8:24], inputs_NCHW[:, :, ::2, ::2])
    assert not outputs_NCHW[:, :8].any()
    assert not outputs_NCHW[:, 24:].any()


def test_resnet_initial_weights_are_he_normal_with_zero_biases() -> None:
    with seeded_globally(0, "init"):
        model = CifarResNet(20, 3, 10)
    *_, last = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    assert last.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert not model.classifier.bias.any()


@pytest.mark.parametrize("depth", [2, 9, 18, -4])
def test_resnet_refuses_a_depth_that_is_not_6n_plus_2(depth: int) -> None:
    with pytest.raises(ValueError, match="expected `depth` = 6n"):
        CifarResNet(depth, 3, 10)


def test_resnet_training_forward_is_decided_by_the_dropout_generator() -> None:
    model, images_NCHW = CifarResNet(8, 1, 10, dropout=0.5), torch.rand(4, 1, 8, 8)
    outputs = []
    global_state = torch.get_rng_state()
    for seed in (0, 0, 1):
        seed_dropout(model, torch.Generator().manual_seed(seed))
        outputs.append(model(images_NCHW))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    assert torch.equal(torch.get_rng_state(), global_state)


def test_resnet_gradient_reaches_every_parameter() -> None:
    model = CifarResNet(14, 3, 10)
    model(torch.rand(4, 3, 8, 8)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_resnet_channels_last_gives_the_same_logits() -> None:
    model, images_NCHW = CifarResNet(8, 3, 10).eval(), torch.rand(2, 3, 12, 12)
    expected_NK = model(images_NCHW)
    channels_last_NK = model.to(memory_format=torch.channels_last)(images_NCHW.to(memory_format=torch.channels_last))
    torch.testing.assert_close(channels_last_NK, expected_NK, rtol=1e-4, atol=1e-5)
