"""A check of a base criterion that is not ours, before it is trained with: one differentiable loss for each sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from absgd.errors import UserError
from absgd.losses.criterion import Criterion
from absgd.plugins.loading import errors_of


def check_own_criterion(criterion: object, name: str, plugin: str, class_counts: Sequence[int]) -> None:
    """Let a criterion compute the losses of three samples.

    Args:
        criterion: what its builder returned.
        name: value of `loss.name`, without `ab`.
        plugin: name of the plugin.
        class_counts: training images of each class.

    Raises:
        UserError: if it is no Criterion, or gives anything but one finite loss, with a gradient, for each sample.
    """
    if not isinstance(criterion, Criterion):
        raise UserError(_refusal(name, plugin, "an absgd.losses.Criterion", type(criterion).__name__))
    generator = torch.Generator().manual_seed(0)
    logits_BC = torch.randn(3, len(class_counts), generator=generator).requires_grad_()
    with errors_of(plugin, name):
        loss_B = criterion(logits_BC, torch.arange(3) % len(class_counts), torch.ones(len(class_counts)))
    if not isinstance(loss_B, torch.Tensor) or loss_B.shape != (3,):
        found = f"shape {tuple(loss_B.shape)}" if isinstance(loss_B, torch.Tensor) else type(loss_B).__name__
        raise UserError(_refusal(name, plugin, "one loss per sample, shape (3,) for 3 samples,", found))
    if loss_B.dtype != torch.float32 or not loss_B.requires_grad:
        found = str(loss_B.dtype) if loss_B.requires_grad else "losses without a gradient"
        raise UserError(_refusal(name, plugin, "losses in the type of the logits, with their gradient,", found))
    if not loss_B.isfinite().all():
        raise UserError(_refusal(name, plugin, "finite losses of logits near 0", str(loss_B.tolist())))


def _refusal(name: str, plugin: str, expected: str, got: str) -> str:
    return f"expected {expected} from loss `{name}` of plugin `{plugin}`, got {got} (loss.name)"
