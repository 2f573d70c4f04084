"""Post-hoc logit adjustment of a run: logits minus tau times the log share of each class among the training images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from absgd.class_priors import log_priors
from absgd.training.evaluation import LogitsOf


def log_prior_shift(class_counts: Sequence[int], tau: float, device: torch.device) -> Tensor | None:
    """tau log(n_c / n), to be subtracted from the logits; None where tau is 0.

    Args:
        class_counts: training images n_c of each class.
        tau: 1 is optimal for the balanced error if the logits are exact.
        device: device of the logits.

    Returns:
        float32, shape (C,).

    Raises:
        UserError: if a class has no training image and tau is not 0.

    Source: arXiv 2007.07314, section 4.1, post-hoc logit adjustment.
    """
    if tau == 0:
        return None
    log_priors_C = torch.from_numpy(log_priors(class_counts, "post-hoc logit adjustment", "loss.posthoc_tau"))
    return (tau * log_priors_C).to(device, torch.float32)


def adjusted(logits_of: LogitsOf, shift_C: Tensor) -> LogitsOf:
    """Logits of a batch minus `shift_C`."""
    return lambda batch: logits_of(batch) - shift_C
