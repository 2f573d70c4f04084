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
from absgd.losses.logit_adjustment import LogitAdjustment, logit_adjusted_loss
from absgd.losses.logit_norm import divide_by_norm
from absgd.losses.objective import Objective, Prediction, StepLoss
from absgd.losses.sce import SymmetricCrossEntropy, symmetric_cross_entropy
from absgd.losses.tce import TruncatedCrossEntropy, is_kept, truncated_cross_entropy
from absgd.losses.tilted import Tilted, tilted_loss
from absgd.losses.vector_scaling import VectorScaling, vector_scaling_loss

__all__ = [
    "ABLoss",
    "AttentionWeights",
    "BalancedSoftmax",
    "Criterion",
    "CrossEntropy",
    "Focal",
    "Ldam",
    "LogitAdjustment",
    "Objective",
    "Prediction",
    "PruningCriterion",
    "StepLoss",
    "SymmetricCrossEntropy",
    "Tilted",
    "TruncatedCrossEntropy",
    "VectorScaling",
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
    "logit_adjusted_loss",
    "symmetric_cross_entropy",
    "tilted_loss",
    "truncated_cross_entropy",
    "vector_scaling_loss",
]
