"""The optimisers of the published package `absgd` 0.0.1, for code written for it.

ABSGD's weights are part of the loss, so these are torch's own optimisers under the authors' names.
"""

from __future__ import annotations

import torch
from torch.optim.optimizer import ParamsT


def ABSGD(params: ParamsT, lr: float, weight_decay: float = 0.0) -> torch.optim.SGD:  # noqa: N802 - the published name
    """Return torch's SGD with momentum 0.9, for a loss that carries ABSGD's weights.

    >>> ABSGD(torch.nn.Linear(2, 1).parameters(), lr=0.1).defaults["momentum"]
    0.9

    Args:
        params: parameters or parameter groups.
        lr: learning rate.
        weight_decay: L2 penalty.

    Raises:
        ValueError: if `lr` or `weight_decay` is negative, or there are no parameters.

    Source: the published package `absgd` 0.0.1, absgd.optimizers.
    """
    return torch.optim.SGD(params, lr=lr, momentum=0.9, weight_decay=weight_decay)


def ABAdam(params: ParamsT, lr: float, weight_decay: float = 0.0) -> torch.optim.Adam:  # noqa: N802
    """Return torch's Adam, for a loss that carries ABSGD's weights.

    >>> ABAdam(torch.nn.Linear(2, 1).parameters(), lr=1e-3).defaults["betas"]
    (0.9, 0.999)

    Args:
        params: parameters or parameter groups.
        lr: learning rate.
        weight_decay: L2 penalty.

    Raises:
        ValueError: if `lr` or `weight_decay` is negative, or there are no parameters.

    Source: the published package `absgd` 0.0.1, absgd.optimizers.
    """
    return torch.optim.Adam(params, lr=lr, weight_decay=weight_decay)
