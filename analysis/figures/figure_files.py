"""Export figures as PDF, PNG and SVG files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from absgd.errors import UserError
from absgd.paths import PathLike
from analysis.figures.figure_style import Drawing

FigureFormat = Literal["pdf", "png", "svg"]


def file_stem(*words: str) -> str:
    """Join words to a file name that is valid on every system.

    >>> file_stem("digits-exp-0.05", "a b/c")
    'digits-exp-0.05_a-b-c'
    """
    return "_".join(re.sub(r"[^A-Za-z0-9.-]+", "-", word).strip("-.")[:80] or "unnamed" for word in words)


def check_can_write_figures() -> None:
    """Check that figures can be written as files on this machine, before anything is computed for them.

    Raises:
        UserError: if kaleido or a browser is missing.
    """
    try:
        from choreographer.browsers.chromium import Chromium  # what kaleido starts
    except ImportError:
        raise UserError("figures as files need kaleido: pip install 'absgd-tune[figures]' (--figures)") from None
    browser = Chromium.find_browser(skip_local=False)
    if browser is None or not os.access(browser, os.X_OK):
        raise UserError(
            "figures as files need Chromium or Chrome on this machine, such as Debian's package chromium (--figures)"
        )


def write_figures(
    named: Sequence[tuple[str, Drawing]], folder: PathLike, formats: Sequence[FigureFormat] = ("pdf", "png")
) -> list[Path]:
    """Write figures as files; needs kaleido and a Chromium or Chrome, as `check_can_write_figures` finds them.

    Args:
        named: the stem of each file, and its figure.
        folder: the folder to write to; created if absent.
        formats: the formats to write each figure in.

    Returns:
        The files written.

    Raises:
        UserError: if kaleido or a browser is missing.
    """
    check_can_write_figures()
    import kaleido

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    jobs, paths = [], []
    for stem, drawing in named:
        figure = drawing.figure.to_dict()
        figure["layout"].update(title={"text": drawing.title, "x": 0.02, "font": {"size": 16}})
        figure["layout"]["margin"]["t"] = 90
        height = drawing.plot.layout["height"] + 80
        for kind in formats:
            options = {"format": kind, "width": 800, "height": height, "scale": 2 if kind == "png" else 1}
            paths.append(folder / f"{stem}.{kind}")
            jobs.append({"fig": figure, "path": paths[-1], "opts": options})
    if errors := kaleido.write_fig_from_object_sync(jobs):
        raise UserError(f"cannot draw {len(errors)} of {len(jobs)} figures: {errors[0]} (--figures)")
    return paths
