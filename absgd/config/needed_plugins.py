"""The plugins that a run needs: which they are, and whether this process has loaded those that a record names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from absgd.errors import UserError, broken_rule, shown
from absgd.plugins.loading import load_distribution, load_named
from absgd.registry.plugin_table import IDENTITY_PATTERN, PART_KINDS, PLUGINS, PartKind, plugin_of


def needed_plugins(settings: Mapping[str, Any], further: Iterable[tuple[PartKind, object]] = ()) -> list[str]:
    """Return the identities of the plugins that declare parts of a run, in order of their names.

    Args:
        settings: a partial or whole RunConfig, as plain mappings or sections.
        further: kinds and names of other parts.
    """
    named = [(kind, _name_in(settings.get(kind))) for kind in PART_KINDS]
    parts = [*named, *further]
    for kind, name in parts:
        with suppress(UserError):  # the check of the name raises it
            load_named(kind, name)
    found = {plugin for kind, name in parts if (plugin := plugin_of(kind, name)) is not None}
    return sorted(plugin.identity for plugin in found)


def _name_in(section: object) -> object:
    return section.get("name") if isinstance(section, Mapping) else getattr(section, "name", None)


def check_recorded_plugins(recorded: object, key: str = "plugins") -> None:
    """Refuse a run whose plugins this process lacks, or has in another version; installed ones are loaded.

    Args:
        recorded: the identities of its plugins; None: not recorded.
        key: where they are recorded.

    Raises:
        PydanticCustomError: if they are no identities, or naming the option that loads a plugin.
    """
    if recorded is None:
        return
    if not isinstance(recorded, list | tuple) or not all(map(_is_identity, recorded)):
        message = f"expected a list of `NAME sha256:HASH`, as runs record plugins, got {shown(recorded)}"
        raise broken_rule(key, f"{message}; `--plugin FILE.py` loads one")
    for identity in recorded:
        name, _, digest = identity.rpartition(" sha256:")
        if name not in PLUGINS and not name.endswith(".py"):
            try:
                load_distribution(name)
            except UserError as error:
                raise broken_rule(key, str(error)) from None
        if name not in PLUGINS:
            message = f"expected plugin `{name}`, with which this run was made: add `--plugin PATH/{name}`"
            raise broken_rule(key, message)
        own = PLUGINS[name]
        if own.sha256 != digest:
            advice = "install the earlier version" if own.source is None else "give the earlier file to `--plugin`"
            message = (
                f"expected plugin `{name}` as it was when this run was made (sha256 {digest[:12]}), got another one "
                f"({own.sha256[:12]}, {own.place}): {advice}, or begin a new run"
            )
            raise broken_rule(key, message)


def _is_identity(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(IDENTITY_PATTERN, value) is not None
