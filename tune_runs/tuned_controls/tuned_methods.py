"""The methods that are tuned as controls, and the settings over which each is.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from absgd.records import TUNED_SUFFIX
from tune_runs.space.parameters import Scalar
from tune_runs.space.space_sections import TunedControlName


@dataclass(frozen=True)
class TunedMethod:
    """A method, and its own settings; those that decide the stage one of trials are tuned for every method."""

    criterion: str
    """Its `loss.name`."""
    values: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)
    """Setting -> values to try beside that of the space."""
    is_deferred: bool = False
    """Whether classes are reweighted from a switch epoch of the space on."""
    corrects_counts: bool = False
    """Whether the criterion itself corrects for the class counts, so that it takes no class balance."""
    needs_every_class: bool = True
    """Whether it is undefined where a class has no training image."""


TUNED_METHODS: Mapping[TunedControlName, TunedMethod] = {
    "ce": TunedMethod("ce", needs_every_class=False),
    "cb-ce-drw": TunedMethod("ce", {"class_balance.beta": (0.9999, 0.999, 0.99)}, is_deferred=True),
    "ce-posthoc": TunedMethod("ce", {"loss.posthoc_tau": (1.0, 0.5, 1.5, 0.25, 0.75, 1.25, 2.0)}),
    "ldam-drw": TunedMethod("ldam", {"loss.ldam_max_margin": (0.5, 0.3, 0.7)}, is_deferred=True),
    "focal": TunedMethod("focal", {"loss.focal_gamma": (1.0, 0.5, 2.0)}, needs_every_class=False),
    "balanced-softmax": TunedMethod("balanced_softmax", corrects_counts=True),
    "logit-adjustment": TunedMethod("logit_adjustment", {"loss.la_tau": (1.0, 0.5, 1.5, 2.0)}, corrects_counts=True),
    "vs": TunedMethod("vs", {"loss.vs_gamma": (0.3, 0.15, 0.05), "loss.vs_tau": (1.0, 1.5, 0.5)}, corrects_counts=True),
}
"""Name of a control -> its method; values of published recipes come first (docs/confirmation.md)."""


def tuned_name(method: TunedControlName) -> str:
    """Return the name of a method's best configuration as a candidate of a confirmation.

    >>> tuned_name("focal")
    'focal-tuned'
    """
    return f"{method}{TUNED_SUFFIX}"
