"""Logits of a whole pass over labelled images, kept for the file of a run's predictions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from absgd.datasets import Batch
from absgd.training.evaluation import LogitsOf

LOWEST = torch.finfo(torch.float16).min
"""Lowest number of float16; a logit that is further than this below the largest one of its image is raised to it."""


class KeptLogits:
    """Collects the logits of batches in half precision.

    The largest logit of each image is subtracted from all of them. No probability changes, and float16 is finest near
    zero: the order of the largest logits survives the rounding.
    """

    def __init__(self) -> None:
        self._parts: list[Tensor] = []

    def of(self, logits_of: LogitsOf) -> LogitsOf:
        """Return a function that returns the logits of a batch as `logits_of` does, and keeps them."""

        def keeping(batch: Batch) -> Tensor:
            logits_BC = logits_of(batch)
            exact_BC = logits_BC.float()
            shifted_BC = exact_BC - exact_BC.amax(dim=1, keepdim=True)
            self._parts.append(shifted_BC.clamp(min=LOWEST).half())
            return logits_BC

        return keeping

    def array(self) -> npt.NDArray[np.float16]:
        """Return the logits kept so far, shape (N, C), in the order of the batches."""
        found: npt.NDArray[np.float16] = torch.cat(self._parts).cpu().numpy()
        return found
