"""The growth of memory over steps of stage two, of our loss and of one with the defect of the authors' code."""

from __future__ import annotations

import gc
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from absgd.losses import AttentionWeights, CrossEntropy, Objective

Losses = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def stage_two_loss(lam: float = 2.0) -> Losses:
    objective = Objective(CrossEntropy(), attention=AttentionWeights(lam, 0.5, 0.5))

    def loss(logits_BC: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = objective(logits_BC, labels_B, labels_B, 0).loss
        return total

    return loss


def measured_growth() -> None:
    """Print the growth over 1,000 steps of our loss and of one with the defect, as JSON."""
    _growth_of(stage_two_loss(), 200)  # allocations of the first steps and the first measurement stay
    growths = (_growth_of(stage_two_loss(), 1000), _growth_of(_loss_that_keeps_history(), 1000))
    print(json.dumps([vars(growth) for growth in growths]))


def _loss_that_keeps_history() -> Losses:
    """Return a loss whose moving average stays in the autograd graph."""
    u = torch.zeros(())

    def loss(logits_BC: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
        nonlocal u
        losses_B = nn.functional.cross_entropy(logits_BC, labels_B, reduction="none")
        exponentials_B = torch.exp(losses_B / 2.0)
        u = 0.5 * u + 0.25 * exponentials_B.mean()
        return ((exponentials_B / u).detach() * losses_B).mean()

    return loss


class _Growth:
    """Growth over some steps: Python objects, memory that Python traces, memory of the process."""

    def __init__(self) -> None:
        gc.collect()
        self.objects = float(len(gc.get_objects()))
        self.traced_kib = tracemalloc.get_traced_memory()[0] / 1024
        self.resident_mib = _resident_mib()

    def since(self, start: _Growth) -> _Growth:
        for name in vars(self):
            setattr(self, name, getattr(self, name) - getattr(start, name))
        return self


def _growth_of(loss: Losses, num_steps: int) -> _Growth:
    tracemalloc.start()
    try:
        start = _Growth()
        _steps(loss, num_steps)
        return _Growth().since(start)
    finally:
        tracemalloc.stop()


def _steps(loss: Losses, num_steps: int) -> None:
    """Train steps of a linear model on one batch; a kept history holds 32 KiB of each."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(4, 3)
    images_BF, labels_B = torch.randn(8192, 4, generator=generator), torch.arange(8192) % 3
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(num_steps):
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss(model(images_BF), labels_B))
        optimizer.step()


def _resident_mib() -> float:
    path = Path("/proc/self/statm")
    if not path.is_file():
        pytest.skip("needs /proc to read the memory of the process")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
