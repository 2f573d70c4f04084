"""The last layer of a model: linear, or cosines of features and class vectors.

Suffixes: N images, F features, K classes.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from absgd.registry.model_table import Head

HeadName = Literal["auto", Head]
"""Kind of classifier; `auto` in a model that no run has resolved for its loss is linear."""


class CosineClassifier(nn.Module):
    """cos(x, w_k) = <x, w_k> / (||x|| ||w_k||) of features x and one vector w_k per class; no bias.

    The class vectors start with length 1 in directions drawn uniformly from torch's global generator. A feature vector
    of zeros has cosine 0 with every class.

    >>> classifier = CosineClassifier(num_features=2, num_classes=3)
    >>> classifier(torch.tensor([[3.0, 4.0]])).abs().max().item() <= 1 + 1e-6
    True

    Source: Cao et al., arXiv 1906.07413, section 3.1 (the normalised last layer of LDAM).
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        """A freshly initialised classifier of `num_features` values into `num_classes` classes."""
        super().__init__()
        self.weight = nn.Parameter(normalize(torch.randn(num_classes, num_features), dim=1))

    def forward(self, features_NF: Tensor) -> Tensor:
        """cosines_NK of floating features, in [-1, 1] up to rounding.

        Computed in the precision of the weights under autocast too: LDAM multiplies cosines by 30.
        """
        with torch.autocast(features_NF.device.type, enabled=False):
            return linear(normalize(features_NF.to(self.weight.dtype), dim=1), normalize(self.weight, dim=1))

    def extra_repr(self) -> str:
        """The settings, for `print(module)`."""
        num_classes, num_features = self.weight.shape
        return f"num_features={num_features}, num_classes={num_classes}"


def build_classifier(head: HeadName, num_features: int, num_classes: int) -> nn.Linear | CosineClassifier:
    """Build the last layer that `model.head` names: features_NF to logits_NK, or to cosines_NK.

    >>> build_classifier("linear", 64, 10)
    Linear(in_features=64, out_features=10, bias=True)
    """
    return CosineClassifier(num_features, num_classes) if head == "cosine" else nn.Linear(num_features, num_classes)
