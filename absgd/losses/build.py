"""The one table of losses, and the objective of a RunConfig built from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from absgd.class_weights import effective_number_weights
from absgd.config import RunConfig
from absgd.config.sections import AttentionConfig, ClassBalanceConfig, LossConfig
from absgd.losses.attention import AttentionWeights
from absgd.losses.balanced_softmax import BalancedSoftmax
from absgd.losses.criterion import Criterion
from absgd.losses.cross_entropy import CrossEntropy
from absgd.losses.focal import Focal
from absgd.losses.ldam import Ldam
from absgd.losses.objective import Objective
from absgd.losses.sce import SymmetricCrossEntropy
from absgd.losses.tce import TruncatedCrossEntropy

CriterionBuilder = Callable[[LossConfig, Sequence[int]], Criterion]
"""A base criterion from its settings and the training images of each class."""

CRITERIA: Mapping[str, CriterionBuilder] = {
    "ce": lambda _config, _class_counts: CrossEntropy(),
    "focal": lambda config, _class_counts: Focal(config.focal_gamma),
    "ldam": lambda config, class_counts: Ldam(class_counts, config.ldam_max_margin, config.ldam_scale),
    "sce": lambda config, _class_counts: SymmetricCrossEntropy(config.sce_alpha, config.sce_beta),
    "tce": lambda config, class_counts: TruncatedCrossEntropy(sum(class_counts), config.tce_q, config.tce_k),
    "balanced_softmax": lambda _config, class_counts: BalancedSoftmax(class_counts),
}
"""Base criteria by name; `ab` in front of a name puts attention weights over the same criterion."""


def build_objective(config: RunConfig, class_counts: Sequence[int]) -> Objective:
    """The training loss that `config` asks for, on the CPU, at the start of a run.

    Args:
        config: the run; `loss`, `attention` and `class_balance` decide.
        class_counts: training images of each class, after imbalance and noise.

    Raises:
        UserError: if class weights or a loss set by the class counts are asked for and a class is empty.
    """
    attention = config.attention if config.loss.is_attentive else None
    return Objective(
        CRITERIA[config.loss.base](config.loss, class_counts),
        class_weights_C=_class_weights(config.class_balance, class_counts),
        class_weights_from=config.class_balance_epoch,
        attention=_attention_weights(attention) if attention else None,
        switch_epoch=attention.switch_epoch if attention else 0,
        class_tau=config.loss.class_tau,
        prune_from=_prune_from(config.loss, attention),
    )


def _attention_weights(attention: AttentionConfig) -> AttentionWeights:
    return AttentionWeights(attention.lam, attention.gamma, attention.ab_alpha, add_uniform=attention.add_uniform)


def _class_weights(balance: ClassBalanceConfig, class_counts: Sequence[int]) -> Tensor | None:
    if balance.type != "reweight":
        return None
    return effective_number_weights(class_counts, balance.beta).to(torch.float32)


def _prune_from(loss: LossConfig, attention: AttentionConfig | None) -> int | None:
    if loss.base != "tce" or loss.tce_prune_from is not None:
        return loss.tce_prune_from
    return attention.switch_epoch if attention else None
