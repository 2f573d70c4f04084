"""Post-hoc logit adjustment of the logits that a run is evaluated by."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from absgd.class_priors import posthoc_shift
from absgd.training.evaluation import LogitsOf


def log_prior_shift(class_counts: Sequence[int], tau: float, device: torch.device) -> Tensor | None:
    """Return `absgd.class_priors.posthoc_shift` as a tensor on the device of the logits, float32, shape (C,).

    Raises:
        UserError: if a class has no training image and tau is not 0.
    """
    shift_C = posthoc_shift(class_counts, tau)
    return None if shift_C is None else torch.from_numpy(shift_C).to(device, torch.float32)


def adjusted(logits_of: LogitsOf, shift_C: Tensor) -> LogitsOf:
    """Return a function that returns the logits of a batch minus `shift_C`."""
    return lambda batch: logits_of(batch) - shift_C
