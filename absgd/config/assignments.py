"""Settings given as `KEY=VALUE` words on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from absgd.errors import UserError, shown
from absgd.yaml_text import parse_yaml


def parse_settings(words: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """Return dotted key -> value of `KEY=VALUE` words, whose values are YAML.

    >>> parse_settings(["optimizer.lr=0.05", "loss.name=ce"])
    {'optimizer.lr': 0.05, 'loss.name': 'ce'}

    Raises:
        UserError: if a word has no key or no `=`, a value is no YAML, a key is given twice, or one replaces another.
    """
    settings: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")):
            raise UserError(f"expected KEY=VALUE, got {shown(word)} ({option})")
        if key in settings:
            raise UserError(f"expected each key once, got `{key}` twice ({option})")
        if part := next((one for one in settings if one.startswith(f"{key}.")), None):
            raise UserError(f"expected `{key}` before `{part}`, which it would replace ({option})")
        settings[key] = parse_yaml(value, f"{option} {key}")
    return settings
