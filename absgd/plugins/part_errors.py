"""Errors of a user's own part: one message that names the part, its plugin and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from absgd.errors import UserError
from absgd.registry.plugin_table import PartKind


@contextmanager
def errors_of(plugin: str | None, function: str) -> Iterator[None]:
    """Turn an error that a function of a plugin raises into one message; other errors pass.

    Raises:
        UserError: naming plugin, function and error.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if plugin is None:
            raise
        raise UserError(f"`{function}` of plugin `{plugin}` raised {in_words(error)}") from error


def wrong_part(kind: PartKind, name: str, plugin: str, expected: str, got: str) -> UserError:
    """Return the error for a part that gives something other than it must."""
    return UserError(f"expected {expected} from {kind} `{name}` of plugin `{plugin}`, got {got} ({kind}.name)")


def in_words(error: BaseException) -> str:
    """Return the type of an error and the first line of its message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
