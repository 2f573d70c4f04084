"""The options of `device` resolved for each kind of device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from absgd.config.sections import DeviceConfig, ModelConfig
from absgd.errors import UserError
from absgd.models import build_model
from absgd.training.device_options import DeviceOptions, Machine, resolve_device_options
from absgd.training.network import Network
from tests.support.small_runs import make

PLAIN_CPU, BF16_CPU = Machine("cpu", native_bfloat16=False), Machine("cpu", native_bfloat16=True)
OLD_GPU, GPU = Machine("cuda", native_bfloat16=False), Machine("cuda", native_bfloat16=True)
FAST_GPU = DeviceOptions("bfloat16", "channels_last", True, True, True, 2048)
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("values", "machine", "expected"),
    [
        ({}, BF16_CPU, DeviceOptions()),
        ({}, GPU, DeviceOptions()),
        ({"fast": True}, PLAIN_CPU, DeviceOptions(memory_format="channels_last")),
        ({"fast": True}, BF16_CPU, DeviceOptions("bfloat16", "channels_last")),
        ({"fast": True}, GPU, FAST_GPU),
        ({"fast": True}, OLD_GPU, FAST_GPU._replace(precision="float32")),
        ({"fast": True, "precision": "float32"}, GPU, FAST_GPU._replace(precision="float32")),
        ({"fast": True, "memory_format": "contiguous"}, GPU, FAST_GPU._replace(memory_format="contiguous")),
        ({"fast": True, "cuda_graph": False}, GPU, FAST_GPU._replace(cuda_graph=False)),
        ({"precision": "bfloat16"}, PLAIN_CPU, DeviceOptions(precision="bfloat16")),
        ({"memory_format": "channels_last"}, GPU, DeviceOptions(memory_format="channels_last")),
        ({"cuda_graph": True}, GPU, DeviceOptions(fused_optimizer=True, deferred_checks=True, cuda_graph=True)),
    ],
)
def test_options_resolve_to(values: dict[str, Any], machine: Machine, expected: DeviceOptions) -> None:
    assert resolve_device_options(DeviceConfig(**values), True, machine) == expected


def test_fast_captures_no_graph_with_dropout() -> None:
    assert resolve_device_options(DeviceConfig(fast=True), False, GPU) == FAST_GPU._replace(cuda_graph=False)


def test_fast_captures_no_graph_over_several_processes() -> None:
    assert resolve_device_options(DeviceConfig(fast=True, ranks=2), True, GPU) == FAST_GPU._replace(cuda_graph=False)


def test_graph_without_gpu_is_refused() -> None:
    with pytest.raises(UserError, match=r"expected `cuda_graph` with a CUDA device only, found none"):
        resolve_device_options(DeviceConfig(cuda_graph=True), True, BF16_CPU)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"device.type": "cpu"}, r"with a CUDA device only, got device `cpu` \(.*device.cuda_graph\)"),
        (
            {"device": {"cuda_graph": True, "ranks": 2}},
            r"with one process alone, got `ranks` 2 \(.*device.cuda_graph\)",
        ),
        ({"model.dropout": 0.2}, r"with `model.dropout` = 0, .*got 0.2 \(.*device.cuda_graph\)"),
    ],
)
def test_graph_that_does_not_fit_the_run_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make().with_values({"model.dropout": 0, "device": {"cuda_graph": True}, **values})


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_network_gives_float32_logits_near_the_models_own(precision: Any) -> None:
    model = build_model(ModelConfig(name="resnet8"), in_channels=1, num_classes=10).eval()
    images_BCHW = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact_BC = model(images_BCHW)
        fast_BC = Network(model, DeviceOptions(precision, "channels_last"), CPU)(images_BCHW)
    assert fast_BC.dtype == torch.float32
    assert torch.allclose(fast_BC, exact_BC, atol=1e-5 if precision == "float32" else 0.1)
    assert torch.equal(fast_BC, exact_BC) is False or precision == "float32"


def test_network_changes_the_memory_layout_of_convolutions() -> None:
    model = nn.Conv2d(4, 4, 3)
    Network(model, DeviceOptions(memory_format="channels_last"), CPU)
    assert model.weight.is_contiguous(memory_format=torch.channels_last)
