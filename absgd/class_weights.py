"""Class weights by the effective number of samples.

Suffix: C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from absgd.class_priors import check_no_class_is_empty
from absgd.errors import UserError


def effective_number_weights(class_counts: Sequence[int], beta: float) -> Tensor:
    """Weights w_c = (1 - beta) / (1 - beta^n_c), scaled to sum to the number of classes.

    beta = 0 weighs all classes alike; beta near 1 approaches weights in proportion to 1 / n_c.

    >>> effective_number_weights([5000, 50], beta=0.0)
    tensor([1., 1.], dtype=torch.float64)

    Args:
        class_counts: training images n_c of each class, all positive.
        beta: in [0, 1).

    Returns:
        weights_C, float64 on the CPU, shape (C,).

    Raises:
        UserError: if a class is empty or `beta` is out of its range.

    Source: arXiv 1901.05555, equation 4 and section 4.1.
    """
    if not 0 <= beta < 1:
        raise UserError(f"expected `beta` in [0, 1), got {beta}")
    check_no_class_is_empty(class_counts, "class weights", "class_balance.type")
    counts_C = torch.tensor(class_counts, dtype=torch.float64)
    # 1 - beta^n as -expm1(n log beta): the plain difference loses its digits where beta^n is near 1.
    # The factor 1 - beta is common to all classes and cancels in the scaling.
    weights_C = -1 / torch.expm1(counts_C * torch.log(torch.tensor(beta, dtype=torch.float64)))
    return weights_C * (len(class_counts) / weights_C.sum())
