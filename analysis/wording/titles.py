"""Titles of metrics, settings and controls."""

from __future__ import annotations

from absgd.records import TUNED_SUFFIX
from absgd.registry.loss_table import LOSSES

PARAMETER_TITLES = {
    "lam": "lambda",
    "gamma": "gamma",
    "ab_alpha": "abAlpha",
    "switch_epoch": "switch epoch",
    "lr": "learning rate",
}
"""Titles of settings that are not their column's name with spaces."""

AT_RAISED_LR = " at lr / ab_alpha"
PLAIN_CONTROLS = ("ce", "ce-lr")
"""Plain training at both learning rates: the controls that tables and figures show first."""


def control_titles() -> dict[str, str]:
    """Return the titles of the controls of a confirmation, in the order in which tables and figures show them."""
    criteria = {name: spec.title for name, spec in LOSSES.items() if spec.takes_attention}
    others = {
        "ce-tau": f"{criteria['ce']} with class_tau",
        "cb-ce-drw": "deferred class-balanced cross entropy",
        "ldam-drw": f"deferred {criteria['ldam']}",
        "focal": criteria["focal"],
        "balanced-softmax": LOSSES["balanced_softmax"].title,
    }
    tuned = {
        "ce": criteria["ce"],
        "cb-ce-drw": others["cb-ce-drw"],
        "ce-posthoc": "post-hoc logit adjustment",
        "ldam-drw": others["ldam-drw"],
        "focal": criteria["focal"],
        "balanced-softmax": others["balanced-softmax"],
        "logit-adjustment": LOSSES["logit_adjustment"].title,
        "vs": LOSSES["vs"].title,
    }
    raised = {f"{name}-lr": title + AT_RAISED_LR for name, title in criteria.items()}
    own = {f"{name}{TUNED_SUFFIX}": f"tuned {title}" for name, title in tuned.items()}
    return {"ce": criteria["ce"], "ce-lr": raised["ce-lr"], **own, **others, **criteria, **raised}


def title_of_control(configuration: str) -> str:
    """Return the title of a control; the name itself for any other configuration."""
    titles = control_titles()
    if configuration in titles or not configuration.endswith("-lr"):
        return titles.get(configuration, configuration)
    return configuration.removesuffix("-lr") + AT_RAISED_LR  # on a loss that only a plugin knows


def title_of_parameter(column: str) -> str:
    """Return the name that the method's papers use for a setting.

    >>> title_of_parameter("lam"), title_of_parameter("|lam|"), title_of_parameter("batch_size")
    ('lambda', '|lambda|', 'batch size')
    """
    if column.startswith("|"):
        return f"|{title_of_parameter(column.strip('|'))}|"
    return PARAMETER_TITLES.get(column, column.replace("_", " ").removeprefix("params/"))
