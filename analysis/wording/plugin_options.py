"""The options of a command that name the plugins of a run."""

from __future__ import annotations

from typing import Any

import pandas as pd


def plugin_options(identities: Any) -> list[str]:
    """Return `--plugin FILE` for each file among the plugins of a run; installed ones need no option.

    >>> plugin_options(["parts.py 3f2a", "a-distribution 77ab"])
    ['--plugin', 'parts.py']

    Args:
        identities: value of the column `plugins`; missing where the run needs none.
    """
    names = [str(one).rpartition(" ")[0] for one in identities] if pd.api.types.is_list_like(identities) else []
    return [word for name in names if name.endswith(".py") for word in ("--plugin", name)]
