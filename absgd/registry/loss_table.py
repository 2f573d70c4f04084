"""The table of base criteria, and the names that attention weights add to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from absgd.registry.model_table import Head

ATTENTION_PREFIX = "ab"
"""Beginning of a loss's name that puts attention weights over the base criterion named by the rest."""


@dataclass(frozen=True)
class LossSpec:
    """A base criterion: how it is built, what it needs, and its name in reports."""

    builder: str
    """`module:function` that builds the criterion from a LossConfig and the training images of each class."""
    title: str
    """Name in tables and reports, as it reads inside a sentence."""
    settings: tuple[str, ...] = ()
    """Fields of LossConfig that it reads, other than those that act on every loss."""
    head: Head = "linear"
    """Classifier that the model must have."""
    prunes: bool = False
    """Whether it leaves training samples out from `loss.tce_prune_from` on: its criterion is a PruningCriterion."""
    takes_attention: bool = True
    """Whether attention weights may be put over it."""
    options: type[Any] | None = None
    """Pydantic model of `loss.options`; None: it has none."""
    plugin: str | None = None
    """Name of the plugin that declares it; None: built in."""


LOSSES: dict[str, LossSpec] = {
    "ce": LossSpec("absgd.losses.cross_entropy:build", "plain cross entropy"),
    "focal": LossSpec("absgd.losses.focal:build", "focal loss", settings=("focal_gamma",)),
    "ldam": LossSpec("absgd.losses.ldam:build", "LDAM", settings=("ldam_max_margin", "ldam_scale"), head="cosine"),
    "sce": LossSpec("absgd.losses.sce:build", "symmetric cross entropy", settings=("sce_alpha", "sce_beta")),
    "tce": LossSpec(
        "absgd.losses.tce:build",
        "truncated cross entropy",
        settings=("tce_q", "tce_k", "tce_prune_from"),
        prunes=True,
    ),
    "logit_adjustment": LossSpec(
        "absgd.losses.logit_adjustment:build", "logit-adjusted cross entropy", settings=("la_tau",)
    ),
    "vs": LossSpec("absgd.losses.vector_scaling:build", "VS loss", settings=("vs_gamma", "vs_tau")),
    "term": LossSpec("absgd.losses.tilted:build", "TERM", settings=("term_tilt",), takes_attention=False),
    "balanced_softmax": LossSpec("absgd.losses.balanced_softmax:build", "balanced softmax", takes_attention=False),
}
"""Base criteria by name."""


def loss_names() -> tuple[str, ...]:
    """Return every value of `loss.name`: the base criteria, then those with attention weights over them."""
    return (*LOSSES, *(f"{ATTENTION_PREFIX}{name}" for name, spec in LOSSES.items() if spec.takes_attention))


def is_attentive(loss: str) -> bool:
    """Whether attention weights are put over the base criterion of a loss.

    >>> is_attentive("abce"), is_attentive("ce")
    (True, False)
    """
    return loss not in LOSSES and loss.startswith(ATTENTION_PREFIX)


def base_criterion(loss: str) -> str:
    """Return the name of the base criterion of a loss.

    >>> base_criterion("abce"), base_criterion("ce")
    ('ce', 'ce')
    """
    return loss.removeprefix(ATTENTION_PREFIX) if is_attentive(loss) else loss
