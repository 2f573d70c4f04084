"""The names under which a space searches settings of RunConfig.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from functools import cache

from absgd.config import setting_keys
from absgd.config.part_options import option_keys
from absgd.config.sections import AttentionConfig
from absgd.errors import nearest

SHORT_NAMES = {name: f"attention.{name}" for name in AttentionConfig.model_fields}
"""Name in a space -> setting of RunConfig, for the settings of ABSGD."""

_NOT_SEARCHED = {
    "epochs": "rungs and budgets depend on it",
    "data": "it belongs to a scenario",
    "imbalance": "it belongs to a scenario",
    "noise": "it belongs to a scenario",
    "seeds": "a seed is drawn, not chosen",
    "device": "`resources` decide it",
    "plugins": "`--plugin FILE.py` loads one",
}


def setting_of(name: str) -> str:
    """Return the setting of RunConfig that a parameter's name stands for.

    >>> setting_of("lam"), setting_of("optimizer.lr")
    ('attention.lam', 'optimizer.lr')
    """
    return SHORT_NAMES.get(name, name)


def searchable_names() -> tuple[str, ...]:
    """Return every name that `search` may contain; options are those of the parts that are loaded."""
    return (*_searchable_settings(), *(key for key in option_keys() if key.split(".")[0] not in _NOT_SEARCHED))


@cache
def _searchable_settings() -> tuple[str, ...]:
    settings = [key for key in setting_keys() if key.split(".")[0] not in (*_NOT_SEARCHED, "attention")]
    return (*SHORT_NAMES, *settings)


def refused_name(name: str) -> str | None:
    """Return why `search` may not contain `name`; None if it may."""
    if name in searchable_names():
        return None
    if name.removeprefix("attention.") in SHORT_NAMES:
        return f"expected the short name `{name.removeprefix('attention.')}`, got `{name}`"
    reason = _NOT_SEARCHED.get(name.split(".")[0])
    if reason is not None and (name in setting_keys() or name in _NOT_SEARCHED):
        return f"`{name}` cannot be searched: {reason}"
    return f"unknown parameter `{name}`{nearest(name, searchable_names())}"
