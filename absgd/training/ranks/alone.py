"""A process that trains alone: the interface of a trainer to its ranks, which joined ranks implement too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from absgd.datasets.batch_shares import WHOLE, Share
from absgd.training.evaluation import LogitsOf

NetworkOf = Callable[[nn.Module], Callable[[Tensor], Tensor]]
"""Wraps a model into a function from images to logits, in the run's precision."""


class HasState(Protocol):
    """An object whose state can be sent to another process."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Ranks:
    """The ranks of a trainer; here a process that trains alone, communicates nothing and gives the exact numbers."""

    share: Share = WHOLE
    """This process's share of every batch."""
    device: torch.device | None = None
    """Device on which this process trains; None: the one that the run's config asks for."""

    def synchronised(self, model: nn.Module) -> nn.Module:
        """`model`, which is on its device, with layers that compute on the whole batch."""
        return model

    def logits_of(self, model: nn.Module, network_of: NetworkOf) -> LogitsOf:
        """A function that returns a synchronised model's logits of a whole batch, from the shares of all processes."""
        network = network_of(model)
        return lambda batch: network(batch.images_BCHW)

    def broadcast_state(self, trainer: HasState) -> None:
        """Give every process the state of rank 0."""

    def check(self) -> None:
        """Raise if a collective was aborted. Call before using results: an aborted one leaves its buffers undefined."""

    def has_next_epoch(self) -> bool:
        """Whether another epoch is to be trained; rank 0 always gets True, and by asking announces the epoch."""
        return True


ALONE = Ranks()
