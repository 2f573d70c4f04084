"""A check of a user's own model before training: of its outputs, and of where it draws random numbers."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import nn

from absgd.models.dropout import seed_dropout
from absgd.plugins.part_errors import errors_of, wrong_part


def check_own_model(model: object, name: str, plugin: str, shape: tuple[int, int, int], num_classes: int) -> None:
    """Let a copy of a model compute two images in training mode; the model itself stays as it is.

    Args:
        model: what its builder returned.
        name: value of `model.name`.
        plugin: name of the plugin.
        shape: channels, rows and columns of the images.
        num_classes: number of logits that it must give.

    Raises:
        UserError: if it is no module, gives anything but finite float32 logits of shape (N, classes) with a gradient,
            or draws from torch's global generator, so that a resumed or forked run would not be the same one.
    """
    wrong = partial(wrong_part, "model", name, plugin)
    if not isinstance(model, nn.Module):
        raise wrong("a torch.nn.Module", type(model).__name__)
    generator = torch.Generator().manual_seed(0)
    before = torch.get_rng_state()
    with errors_of(plugin, name):
        trained = copy.deepcopy(model).train()
        seed_dropout(trained, generator)
        logits_NK = trained(torch.randn(2, *shape, generator=generator))
    if not torch.equal(torch.get_rng_state(), before):
        advice = "random draws that can be replayed, such as absgd.models.SeededDropout"
        raise wrong(advice, "draws from torch's global generator")
    if not isinstance(logits_NK, torch.Tensor) or logits_NK.dtype != torch.float32:
        found = str(logits_NK.dtype) if isinstance(logits_NK, torch.Tensor) else type(logits_NK).__name__
        raise wrong("logits in float32", found)
    if logits_NK.shape != (2, num_classes):
        wanted = f"logits of shape (2, {num_classes}) for 2 images of {num_classes} classes"
        raise wrong(wanted, str(tuple(logits_NK.shape)))
    if torch.is_grad_enabled() and not logits_NK.requires_grad:
        raise wrong("logits with a gradient", "logits that no parameter has a part in")
    if not logits_NK.isfinite().all():
        raise wrong("finite logits before it is trained", str(logits_NK.tolist())[:80])
