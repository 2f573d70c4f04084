"""A check of a user's own base criterion before training: it gives one differentiable loss for each sample."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from absgd.losses.criterion import Criterion
from absgd.plugins.part_errors import errors_of, wrong_part


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
    wrong = partial(wrong_part, "loss", name, plugin)
    if not isinstance(criterion, Criterion):
        raise wrong("an absgd.losses.Criterion", type(criterion).__name__)
    generator = torch.Generator().manual_seed(0)
    logits_BC = torch.randn(3, len(class_counts), generator=generator).requires_grad_()
    with errors_of(plugin, name):
        loss_B = criterion(logits_BC, torch.arange(3) % len(class_counts), torch.ones(len(class_counts)))
    if not isinstance(loss_B, torch.Tensor) or loss_B.shape != (3,):
        found = f"shape {tuple(loss_B.shape)}" if isinstance(loss_B, torch.Tensor) else type(loss_B).__name__
        raise wrong("one loss per sample, shape (3,) for 3 samples,", found)
    if loss_B.dtype != torch.float32 or not loss_B.requires_grad:
        found = str(loss_B.dtype) if loss_B.requires_grad else "losses without a gradient"
        raise wrong("losses in the type of the logits, with their gradient,", found)
    if not loss_B.isfinite().all():
        raise wrong("finite losses of logits near 0", str(loss_B.tolist()))
