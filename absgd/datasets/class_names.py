"""Names of the classes of a run's data, for messages and records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pkgutil import resolve_name

from absgd.config.sections import DataConfig
from absgd.registry.dataset_table import DATASETS
from absgd.terminal import printable

MOST_NAMED = 10
"""Classes that a message names."""


def class_names(config: DataConfig, num_classes: int) -> tuple[str, ...]:
    """Return the name of each class: that of its folder or the published one, else its number.

    Bytes that are not text and control characters are escaped.

    Raises:
        UserError: if the names must be read and cannot be.
    """
    spec = DATASETS[config.name]
    names = spec.class_names
    if spec.names_reader is not None:
        read: Callable[[DataConfig], tuple[str, ...]] = resolve_name(spec.names_reader)
        names = read(config)
    return tuple(_text(names[index]) if index < len(names) else str(index) for index in range(num_classes))


def _text(name: str) -> str:
    return printable(name).replace("\n", r"\n")


def numbered(names: tuple[str, ...], labels: Iterable[int]) -> str:
    """List classes with their names, where these are not just their numbers.

    >>> numbered(("cat", "dog", "2"), [1, 2])
    '1 (dog), 2'
    """
    every = list(labels)
    shown = [str(label) + (f" ({names[label]})" if names[label] != str(label) else "") for label in every[:MOST_NAMED]]
    return ", ".join([*shown, *(["..."] if len(every) > MOST_NAMED else [])])
