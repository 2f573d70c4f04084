"""Titles of metrics, settings and controls."""

from __future__ import annotations

METRIC_TITLES = {
    "val_accuracy": "accuracy",
    "val_balanced_accuracy": "balanced accuracy",
    "val_many_accuracy": "accuracy of classes with many images",
    "val_medium_accuracy": "accuracy of classes with a medium number of images",
    "val_few_accuracy": "accuracy of classes with few images",
    "val_loss": "loss",
}
"""Title of each metric, without the split it was measured on."""
PARAMETER_TITLES = {
    "lam": "lambda",
    "gamma": "gamma",
    "ab_alpha": "abAlpha",
    "switch_epoch": "switch epoch",
    "lr": "learning rate",
}
"""Titles of settings that are not their column's name with spaces."""

AT_RAISED_LR = " at lr / ab_alpha"
_CRITERIA = {
    "ce": "plain cross entropy",
    "focal": "focal loss",
    "ldam": "LDAM",
    "sce": "symmetric cross entropy",
    "tce": "truncated cross entropy",
}
CONTROL_TITLES = {
    "ce": _CRITERIA["ce"],
    "ce-lr": _CRITERIA["ce"] + AT_RAISED_LR,
    "ce-tau": "plain cross entropy with class_tau",
    "cb-ce-drw": "deferred class-balanced cross entropy",
    "ldam-drw": "deferred LDAM",
    "focal": _CRITERIA["focal"],
    "balanced-softmax": "balanced softmax",
    **{name: title for name, title in _CRITERIA.items() if name not in ("ce", "focal")},
    **{f"{name}-lr": title + AT_RAISED_LR for name, title in _CRITERIA.items() if name != "ce"},
}
"""Titles of the controls of a confirmation, in the order in which tables and figures show them."""
PLAIN_CONTROLS = ("ce", "ce-lr")
"""Plain training at both learning rates: the controls that tables and figures show first."""


def title_of_control(configuration: str) -> str:
    """Return the title of a control; the name itself for any other configuration."""
    return CONTROL_TITLES.get(configuration, configuration)


def title_of_parameter(column: str) -> str:
    """Return the name that the method's papers use for a setting.

    >>> title_of_parameter("lam"), title_of_parameter("|lam|"), title_of_parameter("batch_size")
    ('lambda', '|lambda|', 'batch size')
    """
    if column.startswith("|"):
        return f"|{title_of_parameter(column.strip('|'))}|"
    return PARAMETER_TITLES.get(column, column.replace("_", " ").removeprefix("params/"))
