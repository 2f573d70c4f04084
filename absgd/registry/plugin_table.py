"""The table of plugins that this process has loaded, and their parts in the other tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from absgd.registry.dataset_table import DATASETS, DatasetSpec
from absgd.registry.loss_table import LOSSES, LossSpec, base_criterion
from absgd.registry.model_table import MODELS, ModelSpec

PartKind = Literal["data", "model", "loss"]
"""Section of a run whose `name` says which part it uses."""
PART_TABLES: dict[PartKind, dict[str, Any]] = {"data": DATASETS, "model": MODELS, "loss": LOSSES}
"""Kind of a part -> the table that has its entry, a DatasetSpec, ModelSpec or LossSpec."""
PART_KINDS = tuple(PART_TABLES)


@dataclass(frozen=True)
class Plugin:
    """Source code that declares parts of a user's own."""

    name: str
    """Name of its file, such as `parts.py`, or of the installed distribution."""
    sha256: str
    """Hash of its source, 64 hex digits."""
    source: str | None
    """Text of the file, which other processes load; None of an installed distribution: they have it themselves."""
    place: str
    """Absolute path of the file, or the folder of the Python that has the distribution."""
    packages: tuple[str, ...] = ()
    """Top-level packages and modules of an installed distribution that hold its parts."""

    @property
    def identity(self) -> str:
        """The plugin as runs record it: `parts.py sha256:...`."""
        return f"{self.name} sha256:{self.sha256}"


IDENTITY_PATTERN = r"^[^\n]{1,200} sha256:[0-9a-f]{64}$"
"""Regular expression of `Plugin.identity`."""
PLUGINS: dict[str, Plugin] = {}
"""Loaded plugins by name."""


def part_spec(kind: PartKind, name: object) -> DatasetSpec | ModelSpec | LossSpec | None:
    """Return the entry of a part in its table, a loss with `ab` in front being its base criterion; None: no entry."""
    if not isinstance(name, str):
        return None
    return PART_TABLES[kind].get(base_criterion(name) if kind == "loss" else name)


def plugin_of(kind: PartKind, name: object) -> Plugin | None:
    """Return the plugin that declares a part; None for built-in ones."""
    spec = part_spec(kind, name)
    return PLUGINS[spec.plugin] if spec is not None and spec.plugin is not None else None
