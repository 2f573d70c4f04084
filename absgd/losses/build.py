"""The one table of losses, and the objective of a RunConfig built from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from absgd.config import AttentionConfig, ClassBalanceConfig, LossConfig, RunConfig
from absgd.losses.attention import AttentionWeights
from absgd.losses.class_weights import effective_number_weights
from absgd.losses.criterion import Criterion
from absgd.losses.cross_entropy import CrossEntropy
from absgd.losses.objective import Objective

CriterionBuilder = Callable[[LossConfig, Sequence[int]], Criterion]
"""A base criterion from its settings and the training images of each class."""

CRITERIA: Mapping[str, CriterionBuilder] = {
    "ce": lambda _config, _class_counts: CrossEntropy(),
}
"""Base criteria by name; `ab` in front of a name puts attention weights over the same criterion."""


def build_objective(config: RunConfig, class_counts: Sequence[int]) -> Objective:
    """The training loss that `config` asks for, on the CPU, at the start of a run.

    Args:
        config: the run; `loss`, `attention` and `class_balance` decide.
        class_counts: training images of each class, after imbalance and noise.

    Raises:
        UserError: if class weights are asked for and a class is empty.
    """
    attention = config.attention if config.loss.is_attentive else None
    return Objective(
        CRITERIA[config.loss.base](config.loss, class_counts),
        class_weights_C=_class_weights(config.class_balance, class_counts),
        class_weights_from=_class_weights_from(config.class_balance, attention),
        attention=AttentionWeights(attention.lam, attention.gamma, attention.ab_alpha) if attention else None,
        switch_epoch=attention.switch_epoch if attention else 0,
    )


def _class_weights(balance: ClassBalanceConfig, class_counts: Sequence[int]) -> Tensor | None:
    if balance.type == "none":
        return None
    return effective_number_weights(class_counts, balance.beta).to(torch.float32)


def _class_weights_from(balance: ClassBalanceConfig, attention: AttentionConfig | None) -> int:
    if balance.from_epoch != "switch":
        return balance.from_epoch
    assert attention is not None, "RunConfig refuses `switch` for a loss without attention weights"
    return attention.switch_epoch
