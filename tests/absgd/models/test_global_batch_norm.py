"""Batch norm over processes: outputs, gradients and running statistics are those of plain batch norm on all images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from absgd.datasets.batch_shares import WHOLE
from absgd.models.global_batch_norm import GlobalBatchNorm, over_ranks, set_whole_batch
from absgd.models.layers import BatchNorm1d, BatchNorm2d
from absgd.training.ranks.alone import Ranks
from tests.support.on_ranks import on_ranks

SHAPES = [(8, 3, 4, 4), (5, 3, 2, 3), (1, 3, 4, 4), (7, 3), (1, 3)]
"""Batches; in the third and the last a rank has no image, in the last a channel has one value."""
SUMMED = ("weight.gradient", "bias.gradient")


def batch_of(shape: tuple[int, ...]) -> Tensor:
    """Return a batch far from zero, where float32 sums of squares would lose the variance."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 30


def norm_of(shape: tuple[int, ...]) -> nn.Module:
    norm: nn.Module = BatchNorm2d(3) if len(shape) == 4 else BatchNorm1d(3)
    with torch.no_grad():
        norm.get_parameter("weight").copy_(torch.tensor([0.5, 1.0, 2.0]))
        norm.get_parameter("bias").copy_(torch.tensor([0.0, 1.0, -1.0]))
    return norm


def normalised(norm: nn.Module, shape: tuple[int, ...], rows: slice) -> dict[str, Tensor]:
    """Return the results of two steps on the given rows of a batch."""
    inputs = batch_of(shape)[rows].requires_grad_()
    importance = torch.linspace(-1, 2, shape[0])[rows].view(-1, *(1 for _ in shape[1:]))
    for _ in range(2):
        outputs = norm(inputs)
    (outputs.tanh() * importance).sum().backward()
    assert inputs.grad is not None
    gradients = {f"{name}.gradient": value.grad for name, value in norm.named_parameters() if value.grad is not None}
    return {"outputs": outputs.detach(), "inputs.gradient": inputs.grad, **gradients, **dict(norm.named_buffers())}


def normalised_on_ranks(ranks: Ranks) -> list[dict[str, Tensor]]:
    return [of_one_shape(ranks, shape) for shape in SHAPES]


def of_one_shape(ranks: Ranks, shape: tuple[int, ...]) -> dict[str, Tensor]:
    model = over_ranks(nn.Sequential(norm_of(shape)))
    rows = ranks.share.rows(shape[0])
    set_whole_batch(model, shape[0], rows)
    (norm,) = model.children()
    assert isinstance(norm, GlobalBatchNorm)
    return normalised(norm, shape, rows)


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_normalise_as_one_process(size: int) -> None:
    found = on_ranks(size, normalised_on_ranks)
    for place, shape in enumerate(SHAPES):
        assert_as_alone([one[place] for one in found], shape)


def assert_as_alone(found: list[dict[str, Tensor]], shape: tuple[int, ...]) -> None:
    for name, value in normalised(norm_of(shape), shape, WHOLE.rows(shape[0])).items():
        parts = [one[name] for one in found]
        if name in ("outputs", "inputs.gradient"):
            torch.testing.assert_close(torch.cat(parts), value, rtol=1e-4, atol=1e-4)
        elif name in SUMMED:
            torch.testing.assert_close(torch.stack(parts).sum(dim=0), value, rtol=1e-4, atol=1e-4)
        else:
            assert all(torch.equal(part, parts[0]) for part in parts), name
            torch.testing.assert_close(parts[0], value, rtol=1e-5, atol=1e-6)


def test_names_of_state_stay() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 3, 1), BatchNorm2d(3))
    names = list(plain.state_dict())
    parameters = list(plain.parameters())
    model = over_ranks(plain)
    assert list(model.state_dict()) == names
    assert all(one is other for one, other in zip(model.parameters(), parameters, strict=True))
