"""Dropout whose masks come from a given generator, so that an epoch can be replayed."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SeededDropout(nn.Module):
    """Multiply each value by m / (1 - p), m = 0 with probability p and else 1, drawn from `generator`.

    Identity in evaluation mode and for p = 0. The generator is not part of the state: the trainer sets it with
    `seed_dropout` before each epoch.

    >>> dropout = SeededDropout(0.5)
    >>> seed_dropout(dropout, torch.Generator().manual_seed(0))
    >>> sorted(set(dropout(torch.ones(100)).tolist()))
    [0.0, 2.0]

    Source: Srivastava et al., "Dropout", JMLR 15 (2014), section 10, with the scaling done in training.
    """

    def __init__(self, p: float) -> None:
        """Dropout with probability `p`.

        Raises:
            ValueError: if `p` is not in [0, 1).
        """
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"expected `p` in [0, 1), got {p}")
        self.p = p
        self.generator: torch.Generator | None = None
        self.whole_batch: tuple[int, slice] | None = None
        """For a batch that is spread over processes: its number of images and the rows given here. Masks are drawn for
        all images, so that each gets the mask that it gets in one process."""

    def forward(self, values: Tensor) -> Tensor:
        """`values`, floating and of any shape, with some dropped.

        Raises:
            RuntimeError: in training with p > 0, if no generator was set.
        """
        if not self.training or self.p == 0:
            return values
        if self.generator is None:
            raise RuntimeError(f"expected `seed_dropout` before training with dropout {self.p}, got no generator")
        kept = self._room_for_mask(values).bernoulli_(1 - self.p, generator=self.generator)
        if self.whole_batch is not None:
            kept = kept[self.whole_batch[1]]
        return values * kept.div_(1 - self.p)

    def _room_for_mask(self, values: Tensor) -> Tensor:
        if self.whole_batch is None:
            return torch.empty_like(values)
        return values.new_empty((self.whole_batch[0], *values.shape[1:]))

    def extra_repr(self) -> str:
        """The settings, for `print(module)`."""
        return f"p={self.p}"


def seed_dropout(model: nn.Module, generator: torch.Generator) -> None:
    """Make every SeededDropout inside `model` draw its masks from `generator`, which is on the model's device."""
    for module in model.modules():
        if isinstance(module, SeededDropout):
            module.generator = generator
