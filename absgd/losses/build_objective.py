"""The objective of a RunConfig: its base criterion out of the table of losses, class weights, and attention weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pkgutil import resolve_name

import torch
from torch import Tensor

from absgd.class_weights import effective_number_weights
from absgd.config import RunConfig
from absgd.config.sections import AttentionConfig, ClassBalanceConfig, LossConfig
from absgd.losses.attention import AttentionWeights
from absgd.losses.criterion import Criterion
from absgd.losses.objective import Objective
from absgd.losses.own_criterion_check import check_own_criterion
from absgd.plugins.part_errors import errors_of

CriterionBuilder = Callable[[LossConfig, Sequence[int]], Criterion]
"""Builds a base criterion from its settings and the training images of each class."""


def build_objective(config: RunConfig, class_counts: Sequence[int]) -> Objective:
    """Build the training loss that `config` asks for, on the CPU, at the start of a run.

    Args:
        config: the run; `loss`, `attention` and `class_balance` decide.
        class_counts: training images of each class, after imbalance and noise.

    Raises:
        UserError: if a class is empty, and class weights or a loss that depends on class counts is asked for.
    """
    attention = config.attention if config.loss.is_attentive else None
    return Objective(
        build_criterion(config.loss, class_counts),
        class_weights_C=_class_weights(config.class_balance, class_counts),
        class_weights_from=config.class_balance_epoch,
        attention=_attention_weights(attention) if attention else None,
        switch_epoch=attention.switch_epoch if attention else 0,
        class_tau=config.loss.class_tau,
        prune_from=_prune_from(config.loss, attention),
    )


def build_criterion(config: LossConfig, class_counts: Sequence[int]) -> Criterion:
    """Build the base criterion that `config` names, without class weights and attention weights.

    Raises:
        UserError: if the criterion needs class counts and a class is empty; if a plugin's does not give one loss for
            each sample.
    """
    spec = config.spec
    build: CriterionBuilder = resolve_name(spec.builder)
    with errors_of(spec.plugin, config.base):
        criterion = build(config, class_counts)
    if spec.plugin is not None:
        check_own_criterion(criterion, config.base, spec.plugin, class_counts)
    return criterion


def _attention_weights(attention: AttentionConfig) -> AttentionWeights:
    return AttentionWeights(attention.lam, attention.gamma, attention.ab_alpha, add_uniform=attention.add_uniform)


def _class_weights(balance: ClassBalanceConfig, class_counts: Sequence[int]) -> Tensor | None:
    if balance.type != "reweight":
        return None
    return effective_number_weights(class_counts, balance.beta).to(torch.float32)


def _prune_from(loss: LossConfig, attention: AttentionConfig | None) -> int | None:
    if loss.spec.prunes and loss.tce_prune_from is None and attention is not None:
        return attention.switch_epoch
    return loss.tce_prune_from
