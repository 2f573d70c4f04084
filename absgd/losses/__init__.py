"""Losses: base criteria, class weights, attention weights, and the objective of a run."""

from absgd.losses.attention import AttentionWeights, attention_weights
from absgd.losses.build import build_objective
from absgd.losses.class_weights import effective_number_weights
from absgd.losses.criterion import Criterion
from absgd.losses.cross_entropy import CrossEntropy, cross_entropy
from absgd.losses.objective import Objective, StepLoss

__all__ = [
    "AttentionWeights",
    "Criterion",
    "CrossEntropy",
    "Objective",
    "StepLoss",
    "attention_weights",
    "build_objective",
    "cross_entropy",
    "effective_number_weights",
]
