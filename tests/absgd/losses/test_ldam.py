from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from absgd.errors import UserError
from absgd.losses import Ldam, cross_entropy, ldam_loss, ldam_margins
from tests.contracts.losses import Float64s, Labels, LossCase, LossContract


def _reference(
    logits_BC: Float64s, labels_B: Labels, class_weights_C: Float64s | None, class_counts: Sequence[int]
) -> Float64s:
    roots = [1 / math.sqrt(math.sqrt(count)) for count in class_counts]
    losses = []
    for logits_C, label in zip(logits_BC.tolist(), labels_B.tolist(), strict=True):
        margin = 0.5 * roots[label] / max(roots)
        relative = [0.0 if c == label else 30 * (z - logits_C[label] + margin) for c, z in enumerate(logits_C)]
        top = max(relative)
        weight = 1.0 if class_weights_C is None else float(class_weights_C[label])
        losses.append(weight * (top + math.log(math.fsum(math.exp(z - top) for z in relative))))
    return np.array(losses)


class TestLDAM(LossContract):
    entry = "ldam"

    @pytest.fixture
    def case(self) -> LossCase:
        return LossCase(lambda class_counts: Ldam(class_counts), _reference)


def test_ldam_margins_of_a_long_tail() -> None:
    margins_C = ldam_margins([5000, 50, 500], max_margin=0.5)
    assert margins_C.tolist() == pytest.approx([0.5 * (50 / 5000) ** 0.25, 0.5, 0.5 * (50 / 500) ** 0.25], rel=1e-14)


def test_ldam_margin_applies_to_the_label_only() -> None:
    cosines_BC = torch.tensor([[0.3, 0.1, -0.2]], dtype=torch.float64)
    margins_C = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    moved_BC = cosines_BC - torch.tensor([[0.0, 0.3, 0.0]], dtype=torch.float64)
    loss_B = ldam_loss(cosines_BC, torch.tensor([1]), margins_C, scale=10.0)
    torch.testing.assert_close(loss_B, cross_entropy(10 * moved_BC, torch.tensor([1])))


def test_ldam_with_classes_of_one_size_has_one_margin() -> None:
    assert ldam_margins([7, 7], max_margin=0.4).tolist() == [0.4, 0.4]


def test_ldam_leaves_its_logits_alone() -> None:
    logits_BC = torch.tensor([[0.3, 0.1]])
    Ldam([5, 5])(logits_BC, torch.tensor([0]))
    assert logits_BC.tolist() == torch.tensor([[0.3, 0.1]]).tolist()


def test_ldam_margins_follow_the_module_but_are_not_saved() -> None:
    criterion = Ldam([5, 5]).double()
    assert criterion.margins_C.dtype == torch.float64
    assert not criterion.state_dict()


def test_ldam_refuses_an_empty_class() -> None:
    with pytest.raises(UserError, match=r"at least one training image in every class .*`ldam`, got none in \[1, 2\]"):
        Ldam([5, 0, 0, 2])


@pytest.mark.parametrize(
    ("settings", "named"), [({"max_margin": 0.0}, "ldam_max_margin"), ({"scale": -1.0}, "ldam_scale")]
)
def test_ldam_refuses_a_setting_out_of_range(settings: dict[str, float], named: str) -> None:
    with pytest.raises(UserError, match=f"expected `{named}` > 0, got"):
        Ldam([5, 5], **settings)
