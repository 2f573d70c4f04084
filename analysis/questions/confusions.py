"""Parts of a confusion matrix that a figure can show: a small one whole, of a large one the most frequent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.questions.image_outcomes import Floats


class ConfusionGrid(NamedTuple):
    """A whole confusion matrix of C classes."""

    names: tuple[str, ...]
    """Names of the classes, by label."""
    share_CC: Floats
    """Share of the images of each class (row) that are taken for each class (column); NaN without images."""


def class_names(cells: pd.DataFrame) -> tuple[str, ...]:
    """Return the names of the classes in rows of `Runs.confusion`, by label, up to the largest that occurs."""
    pairs = zip([*cells.label, *cells.predicted], [*cells.label_name, *cells.predicted_name], strict=True)
    known = {int(label): str(name) for label, name in pairs}
    return tuple(known.get(label, str(label)) for label in range(max(known, default=-1) + 1))


def confusion_grid(cells: pd.DataFrame, names: Sequence[str]) -> ConfusionGrid:
    """Return the confusion matrix of one configuration.

    Args:
        cells: its rows of `Runs.confusion`.
        names: names of all classes, by label.
    """
    share_CC = np.zeros((len(names), len(names)))
    share_CC[~np.isin(np.arange(len(names)), cells.label)] = np.nan
    share_CC[cells.label.to_numpy(), cells.predicted.to_numpy()] = cells.share
    return ConfusionGrid(tuple(names), share_CC)


def top_confusions(cells: pd.DataFrame, configurations: Sequence[str], most: int) -> pd.DataFrame:
    """Return the most frequent confusions of the first configuration, beside those of the others.

    Args:
        cells: rows of `Runs.confusion` of one scenario.
        configurations: names, the one that is sorted by first.
        most: confusions at most.

    Returns:
        One row per confusion, the most frequent first: `label_name`, `predicted_name`, and for each configuration the
        share of the class's images in a column of its name, 0 where there is none.
    """
    wrong = cells[cells.label != cells.predicted]
    table = wrong.pivot_table(
        index=["label", "label_name", "predicted", "predicted_name"], columns="configuration", values="share"
    )
    table = table.reindex(columns=list(configurations)).fillna(0.0)
    found = table.sort_values(configurations[0], ascending=False, kind="stable").head(most)
    shown = found[found[configurations[0]] > 0].reset_index()
    return shown[["label_name", "predicted_name", *configurations]].rename_axis(columns=None)


def best_control(comparisons: pd.DataFrame, among: Sequence[str]) -> str | None:
    """Return the control that the configuration is least ahead of; without comparisons, the first of `among`.

    Args:
        comparisons: rows of `Runs.compare(control=None)` of one scenario.
        among: names of controls to choose from.
    """
    own = comparisons[comparisons.control.isin(among) & comparisons.difference.notna()]
    if own.empty:
        return next(iter(among), None)
    return str(own.control.iloc[int(own.difference.to_numpy(dtype=np.float64).argmin())])
