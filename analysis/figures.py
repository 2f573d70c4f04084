"""All figures of a scenario, in the order in which a report shows them, and as files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from absgd.errors import UserError
from analysis.figures_parameters import importance_drawing, landscape_drawing, parallel_drawing
from analysis.figures_results import differences_drawing, fresh_curves_drawing, recall_drawing, weights_drawing
from analysis.figures_search import curves_drawing, savings_drawing
from analysis.style import Drawing

if TYPE_CHECKING:
    from analysis.runs import Runs

FigureFormat = Literal["pdf", "png", "svg"]


def drawings(runs: Runs, comparisons: pd.DataFrame | None = None) -> list[Drawing]:
    """The figures of one scenario; what has nothing to show is left out.

    Args:
        runs: of one scenario (`Runs.scenarios`).
        comparisons: rows of `Runs.compare(control=None)` of this scenario; None or empty where there is no control.
    """
    has_pairs = comparisons is not None and not comparisons.empty
    found = (
        differences_drawing(comparisons) if comparisons is not None and has_pairs else None,
        recall_drawing(runs),
        fresh_curves_drawing(runs),
        curves_drawing(runs),
        landscape_drawing(runs),
        parallel_drawing(runs),
        importance_drawing(runs),
        weights_drawing(runs),
        savings_drawing(runs),
    )
    return [drawing for drawing in found if drawing is not None]


def file_stem(*words: str) -> str:
    """Words as a file name that every system takes.

    >>> file_stem("digits-exp-0.05", "a b/c")
    'digits-exp-0.05_a-b-c'
    """
    return "_".join(re.sub(r"[^A-Za-z0-9.-]+", "-", word).strip("-.")[:80] or "unnamed" for word in words)


def write_figures(
    named: Sequence[tuple[str, Drawing]], folder: Path, formats: Sequence[FigureFormat] = ("pdf", "png")
) -> list[Path]:
    """Write figures as files; needs kaleido and a Chromium or Chrome on this machine.

    Args:
        named: stem of each file, and its figure.
        folder: where they go; created when absent.
        formats: of each figure.

    Raises:
        UserError: if kaleido or a browser is missing.
    """
    try:
        import kaleido
        from kaleido.errors import ChromeNotFoundError
    except ImportError:
        raise UserError("figures as files need kaleido: pip install 'absgd-tune[figures]' (--figures)") from None
    folder.mkdir(parents=True, exist_ok=True)
    jobs, paths = [], []
    for stem, drawing in named:
        figure = drawing.figure.to_dict()
        figure["layout"].update(title={"text": drawing.title, "x": 0.02, "font": {"size": 16}})
        figure["layout"]["margin"]["t"] = 90
        height = int(drawing.figure.layout.height) + 80
        for kind in formats:
            options = {"format": kind, "width": 800, "height": height, "scale": 2 if kind == "png" else 1}
            paths.append(folder / f"{stem}.{kind}")
            jobs.append({"fig": figure, "path": paths[-1], "opts": options})
    try:
        errors = kaleido.write_fig_from_object_sync(jobs)
    except ChromeNotFoundError:
        raise UserError(
            "figures as files need Chromium or Chrome on this machine, such as Debian's package chromium (--figures)"
        ) from None
    if errors:
        raise UserError(f"cannot draw {len(errors)} of {len(jobs)} figures: {errors[0]} (--figures)")
    return paths
