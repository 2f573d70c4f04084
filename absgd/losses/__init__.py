"""Losses: base criteria, class weights, attention weights, and the objective of a run.

`absgd.training` and users may import it.
"""

from absgd.class_weights import effective_number_weights
from absgd.losses.ab_loss import ABLoss
from absgd.losses.attention import AttentionWeights, attention_weights
from absgd.losses.balanced_softmax import BalancedSoftmax, balanced_softmax_loss
from absgd.losses.build_objective import build_objective
from absgd.losses.criterion import Criterion, PruningCriterion
from absgd.losses.cross_entropy import CrossEntropy, cross_entropy
from absgd.losses.focal import Focal, focal_loss
from absgd.losses.ldam import Ldam, ldam_loss, ldam_margins
from absgd.losses.logit_norm import divide_by_norm
from absgd.losses.objective import Objective, Prediction, StepLoss
from absgd.losses.sce import SymmetricCrossEntropy, symmetric_cross_entropy
from absgd.losses.tce import TruncatedCrossEntropy, is_kept, truncated_cross_entropy

__all__ = [
    "ABLoss",
    "AttentionWeights",
    "BalancedSoftmax",
    "Criterion",
    "CrossEntropy",
    "Focal",
    "Ldam",
    "Objective",
    "Prediction",
    "PruningCriterion",
    "StepLoss",
    "SymmetricCrossEntropy",
    "TruncatedCrossEntropy",
    "attention_weights",
    "balanced_softmax_loss",
    "build_objective",
    "cross_entropy",
    "divide_by_norm",
    "effective_number_weights",
    "focal_loss",
    "is_kept",
    "ldam_loss",
    "ldam_margins",
    "symmetric_cross_entropy",
    "truncated_cross_entropy",
]
