"""The options of a command that name the plugins of a run."""

from __future__ import annotations

from typing import Any

import pandas as pd


def plugin_options(identities: Any) -> list[str]:
    """Return `--plugin PATH/FILE` for each file among the plugins of a run; installed ones need no option.

    PATH stands for a folder that no record names.

    >>> plugin_options(["parts.py sha256:3f2a", "a-distribution sha256:77ab"])
    ['--plugin', 'PATH/parts.py']

    Args:
        identities: value of the column `plugins`; missing where the run needs none.
    """
    names = [str(one).rpartition(" ")[0] for one in identities] if pd.api.types.is_list_like(identities) else []
    return [word for name in names if name.endswith(".py") for word in ("--plugin", f"PATH/{name}")]
