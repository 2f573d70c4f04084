"""ABLoss against a plain transcription of its formulas, and against values from the published package."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from absgd.losses import ABLoss


def _batches(num_batches: int, scale: float = 2.0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(num_batches, 6, 3, generator=generator, dtype=torch.float64)
    return list(zip(logits, torch.randint(3, (num_batches, 6), generator=generator), strict=True))


@pytest.mark.parametrize("lam", [5.0, 0.5, -0.5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_ab_loss_equals_its_formulas(lam: float, dtype: torch.dtype) -> None:
    criterion, u = ABLoss(lam, abgamma=0.6, abalpha=0.5), 0.0
    criterion.updateLambda()
    for output, target in _batches(20):
        losses = [-math.log(row.softmax(0)[label]) for row, label in zip(output, target, strict=True)]
        exponentials = [math.exp(loss / lam) for loss in losses]
        u = 0.4 * u + 0.6 * 0.5 * sum(exponentials) / 6
        expected = sum(e / (u * 6) * loss for e, loss in zip(exponentials, losses, strict=True))
        loss = criterion(output.to(dtype), target)
        assert loss.dtype == dtype
        assert loss.item() == pytest.approx(expected, rel=1e-10 if dtype == torch.float64 else 1e-5)


PUBLISHED_LOGITS = [
    [[1.5, -0.25, 0.75], [-2.0, 0.5, 3.25], [0.125, 0.375, -1.0], [4.0, -4.5, 0.25]],
    [[-0.5, 2.25, 1.0], [0.0, 0.25, -0.75], [3.5, -1.5, 2.0], [-3.0, 1.75, 0.625]],
    [[2.0, 2.5, -1.25], [-0.875, 0.0, 0.5], [1.0, -3.0, 5.5], [0.75, 0.25, -0.5]],
    [[0.25, -1.75, 3.0], [6.0, -2.0, 1.5], [-0.125, 1.25, 0.5], [2.75, -0.5, -4.0]],
]
PUBLISHED_LABELS = [[0, 1, 2, 1], [2, 0, 1, 1], [0, 2, 0, 2], [1, 2, 0, 0]]


@pytest.mark.parametrize(
    ("lam", "dtype", "values", "rel"),
    [
        (1.5, torch.float64, [3.48065222645023, 15.2182229081189, 7.91081631138108, 10.8970613181998], 1e-10),
        (-0.75, torch.float64, [3.48065222645023, 2.05923369850775, 1.91786762357616, 0.449210018014264], 1e-10),
        (1.5, torch.float32, [3.480652332, 15.21822262, 7.910816669, 10.89706039], 1e-5),
        (-0.75, torch.float32, [3.480652332, 2.059233904, 1.917867541, 0.4492101073], 1e-5),
    ],
)
def test_ab_loss_gives_the_values_of_the_published_package(
    lam: float, dtype: torch.dtype, values: list[float], rel: float
) -> None:
    """The values come from `absgd` 0.0.1 itself, run once: `updateLambda` was called after the first batch."""
    criterion = ABLoss(lam, milestone=1, abgamma=0.6, abalpha=0.5)
    for step, (logits, labels, value) in enumerate(zip(PUBLISHED_LOGITS, PUBLISHED_LABELS, values, strict=True)):
        loss = criterion(torch.tensor(logits, dtype=dtype), torch.tensor(labels))
        assert loss.item() == pytest.approx(value, rel=rel)
        if step == 0:
            criterion.updateLambda()


def test_ab_loss_gradient_treats_weights_as_constants() -> None:
    ((output, target),) = _batches(1)
    output.requires_grad_()
    criterion = ABLoss(0.5, abgamma=1.0)
    criterion.updateLambda()
    criterion(output, target).backward()
    losses_B = nn.functional.cross_entropy(output.detach(), target, reduction="none")
    errors_BC = output.detach().softmax(1) - nn.functional.one_hot(target, 3)
    torch.testing.assert_close(output.grad, (losses_B / 0.5).softmax(0)[:, None] * errors_BC)


@pytest.mark.parametrize(("milestone", "first"), [(0, 1), (1, 1), (2, 2), (5, 5)])
def test_ab_loss_weights_act_once_updated_milestone_times(milestone: int, first: int) -> None:
    ((output, target),) = _batches(1)
    plain = nn.functional.cross_entropy(output, target)
    for updates in range(7):
        criterion = ABLoss(0.1, milestone=milestone, abgamma=1.0)
        for _ in range(updates):
            criterion.updateLambda()
        is_plain = criterion(output, target).item() == pytest.approx(plain.item())
        assert is_plain == (updates < first)


def test_ab_loss_before_its_milestone_leaves_the_average_alone() -> None:
    ((output, target),) = _batches(1)
    criterion = ABLoss(0.5, milestone=2)
    criterion(output, target)
    assert criterion.log_u == -math.inf


@pytest.mark.parametrize("lam", [1e-3, -1e-3])
def test_ab_loss_stays_finite_where_exponentials_overflow(lam: float) -> None:
    criterion = ABLoss(lam)
    criterion.updateLambda()
    for output, target in _batches(3, scale=1e3):
        output.requires_grad_()
        loss = criterion(output, target)
        loss.backward()
        assert loss.isfinite()
        assert output.grad is not None
        assert output.grad.isfinite().all()


def test_ab_loss_takes_a_criterion_with_several_losses_per_sample() -> None:
    output, target = torch.tensor([[0.2, -1.0], [3.0, 0.4], [0.0, 0.0]]).double(), torch.ones(3, 2).double()
    criterion = ABLoss(2.0, criterion=nn.BCEWithLogitsLoss(reduction="none"), abgamma=0.5)
    losses_BC = nn.functional.binary_cross_entropy_with_logits(output, target, reduction="none")
    torch.testing.assert_close(criterion(output, target), losses_BC.sum() / 3)
    criterion.updateLambda()
    u = 0.5 * torch.exp(losses_BC / 2.0).mean()
    torch.testing.assert_close(criterion(output, target), (torch.exp(losses_BC / 2.0) / (u * 3) * losses_BC).sum())


def test_ab_loss_state_round_trip_is_exact() -> None:
    saved, loaded = ABLoss(0.7, milestone=2), ABLoss(0.7, milestone=2)
    *earlier, last = _batches(5)
    for output, target in earlier:
        saved.updateLambda()
        saved(output, target)
    loaded.load_state_dict(saved.state_dict())
    assert loaded.step == saved.step == 4
    assert torch.equal(loaded(*last), saved(*last))


def test_ab_loss_arguments_stand_in_the_published_order() -> None:
    criterion = ABLoss(-2.0, 3, nn.CrossEntropyLoss(reduction="none"), 0.4, 0.5)
    assert (criterion.mylambda, criterion.milestone, criterion.abgamma, criterion.abalpha) == (-2.0, 3, 0.4, 0.5)


def test_ab_loss_refuses_a_reduced_criterion() -> None:
    with pytest.raises(ValueError, match="reduction='none'"):
        ABLoss(1.0, criterion=nn.CrossEntropyLoss())(torch.zeros(2, 2), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mylambda": 0.0}, "mylambda"),
        ({"mylambda": 1.0, "abgamma": 0.0}, "abgamma"),
        ({"mylambda": 1.0, "abalpha": 2.0}, "abalpha"),
    ],
)
def test_ab_loss_refuses_a_setting_out_of_range(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"expected `{named}`"):
        ABLoss(**settings)
