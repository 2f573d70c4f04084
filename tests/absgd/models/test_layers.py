from __future__ import annotations

import pytest
import torch
from torch import nn

from absgd.models.layers import BatchNorm1d, BatchNorm2d, initialise_he_normal


@pytest.mark.parametrize(
    ("ours", "theirs", "shape"),
    [
        (BatchNorm1d, nn.BatchNorm1d, (4, 3)),
        (BatchNorm2d, nn.BatchNorm2d, (2, 3, 4, 4)),
        (BatchNorm2d, nn.BatchNorm2d, (1, 3, 1, 2)),
    ],
)
def test_batch_norm_is_torchs_where_a_channel_has_two_values(
    ours: type[nn.Module], theirs: type[nn.Module], shape: tuple[int, ...]
) -> None:
    norm, reference, values = ours(3), theirs(3), torch.randn(shape)
    assert torch.equal(norm(values), reference(values))
    assert torch.equal(norm.running_var, reference.running_var)
    assert torch.equal(norm.eval()(values), reference.eval()(values))


@pytest.mark.parametrize(("kind", "shape"), [(BatchNorm1d, (1, 3)), (BatchNorm2d, (1, 3, 1, 1))])
def test_batch_norm_of_one_value_uses_the_running_statistics_and_leaves_them(
    kind: type[nn.Module], shape: tuple[int, ...]
) -> None:
    norm, value = kind(3), torch.randn(shape)
    norm.running_mean.fill_(0.5)
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    torch.testing.assert_close(norm(value), (value - 0.5) / (1 + norm.eps) ** 0.5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in norm.state_dict().items())
    assert norm.training


def test_initialise_he_normal_leaves_other_layers_alone() -> None:
    norm = nn.BatchNorm2d(3)
    nn.init.constant_(norm.weight, 7)
    initialise_he_normal(norm)
    assert norm.weight.tolist() == [7, 7, 7]
