"""Optional packages, which the extras of this distribution install."""

from __future__ import annotations

from importlib import import_module

from absgd.errors import UserError


def need_package(package: str, extra: str, key: str) -> None:
    """Refuse a request that needs an optional package where that package is absent or cannot be imported.

    Args:
        package: name under which it is imported.
        extra: extra of this distribution that installs it.
        key: setting or option that needs it.

    Raises:
        UserError: naming the package and the extra.
    """
    reason = "found none"
    try:
        if import_module(package).__file__ is not None:  # None: a folder of that name, such as the one wandb writes
            return
    except ImportError as error:
        if error.name != package:
            reason = f"which cannot be imported: {error}"
    raise UserError(f"expected the package `{package}`, {reason}: pip install 'absgd-tune[{extra}]' ({key})")
