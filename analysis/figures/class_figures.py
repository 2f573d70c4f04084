"""Figures of classes: the recall of each, and the attention weights of their samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from absgd.records import FEW_BELOW, MANY_ABOVE, ShotGroup, shot_group
from analysis.figures.figure_style import (
    BLUE,
    EPOCHS_DONE,
    SERIES,
    VERMILION,
    Drawing,
    add_switch,
    epochs_axis,
    grouped,
    new_figure,
    plain,
    rounded,
    shades,
)
from analysis.figures.plotly_figure import scatter
from analysis.frames.run_frames import Row
from analysis.questions.class_results import recall_by_class, weights_by_group
from analysis.runs import Runs
from analysis.wording.titles import PLAIN_CONTROLS, title_of_control

MOST_CLASSES = 20
"""Number of classes above which recall is drawn over class size, and weights are averaged over groups of classes."""
SHOT_TITLES: dict[ShotGroup, str] = {
    "many": f"many (> {MANY_ABOVE} images)",
    "medium": f"medium ({FEW_BELOW} to {MANY_ABOVE})",
    "few": f"few (< {FEW_BELOW})",
}


_LABEL_TITLES = {"clean": "label left as it was", "changed": "label changed by noise"}


def recall_drawing(runs: Runs) -> Drawing | None:
    """Draw the recall of each class, for the winner and its controls; None if nothing is recorded."""
    rows = runs.rows(recall_by_class)
    if not rows:
        return None
    by_size = len({_class_of(row) for row in rows}) > MOST_CLASSES
    figure = new_figure("training images of the class" if by_size else "class (training images)",
                        f"recall on {rows[0].on} (%)", height=420)  # fmt: skip
    for place, (name, unsorted) in enumerate(grouped(rows, "configuration").items()):
        own = sorted(unsorted, key=lambda row: (*_from_largest(row), _class_of(row)))
        color, symbol, _ = SERIES[place % len(SERIES)]
        error: dict[str, Any] | None = None
        if all(row.n > 1 for row in own):
            spread = rounded(row.std * 100 for row in own)
            error = {"type": "data", "array": spread, "thickness": 1, "width": 3, "color": color}
        figure.add_trace(
            scatter(
                x=[row.num_train if by_size else _class_label(row.class_name, row.num_train) for row in own],
                y=rounded(row.recall * 100 for row in own), mode="markers" if by_size else "markers+lines",
                error_y=error, name=plain(title_of_control(str(name))),
                marker={"color": color, "symbol": symbol, "size": 9}, line={"color": color, "width": 1},
                text=[plain(title_of_class(row.class_name)) for row in own],
                visible=True if place == 0 or name in PLAIN_CONTROLS else "legendonly",
                hovertemplate="%{text}, %{x}: %{y:.1f}<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    figure.update_xaxes(type="log" if by_size else "category")
    figure.update_yaxes(rangemode="tozero")
    seeds = max(row.n for row in rows)
    caption = "Classes from the most to the fewest training images" + (
        f"; mean ± standard deviation over {seeds} fresh seeds." if seeds > 1 else "; one seed, the last epoch."
    )
    return Drawing("recall", "Recall of each class", caption, figure)


def _class_of(row: Row) -> int:
    """Return the class of a row of `recall_by_class`, whose column has the name of a keyword."""
    return int(vars(row)["class"])


def _from_largest(row: Row) -> tuple[bool, float]:
    """Return a key that sorts by the number of training images, the most first and those unknown last."""
    return (True, 0.0) if row.num_train != row.num_train else (False, -row.num_train)


def _class_label(name: str, size: float) -> str:
    return plain(f"{name} ({int(size)})" if size == size else name)


def title_of_class(name: str) -> str:
    """Return the name of a class in a legend or sentence, where a number alone says nothing."""
    return f"class {name}" if name.isdecimal() else name


def weights_drawing(runs: Runs) -> Drawing | None:
    """Draw attention weights over epochs: by clean and changed labels if noise changed any, else by class."""
    rows = runs.rows(weights_by_group)
    if not rows:
        return None
    is_noisy = any(row.kind == "label" for row in rows)
    rows = [row for row in rows if row.kind == ("label" if is_noisy else "class")]
    if not is_noisy:
        rows = sorted(rows, key=lambda row: (*_from_largest(row), row.epoch))
        rows = _by_shots(rows) if len({row.group for row in rows}) > MOST_CLASSES else rows
    figure = new_figure(EPOCHS_DONE, "mean weight (1: plain training)", height=420)
    groups = grouped(rows, "group")
    colors = [BLUE, VERMILION] if is_noisy else shades(len(groups))
    dashes = ("solid", "dash", "dot", "dashdot")
    for place, ((group, unsorted), color) in enumerate(zip(groups.items(), colors, strict=True)):
        own = sorted(unsorted, key=lambda row: row.epoch)
        name = _LABEL_TITLES.get(group) or (group if group in SHOT_TITLES.values() else "")
        label = name or _class_label(title_of_class(str(own[0].class_name)), own[0].num_train)
        figure.add_trace(
            scatter(
                x=epochs_axis(row.epoch for row in own), y=rounded(row.weight for row in own), mode="lines", name=label,
                line={"color": color, "width": 2, "dash": dashes[place % len(dashes)]},
                hovertemplate="epochs done %{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    add_switch(figure, rows)
    caption = (
        "How much each group's samples count in a batch under the best configuration; dotted line: the switch."
        + ("" if is_noisy else " In brackets: training images of the class.")
    )
    return Drawing("weights", "Where the attention goes", caption, figure)


def _by_shots(rows: Sequence[Row]) -> list[Row]:
    """Return mean weights over the classes of each shot group; classes of unknown size are left out."""
    known = [row for row in rows if row.num_train == row.num_train]
    found = []
    for group, title in SHOT_TITLES.items():
        own = grouped([row for row in known if shot_group(row.num_train) == group], "epoch")
        for epoch, same in sorted(own.items()):
            weights = [row.weight for row in same if row.weight == row.weight]
            mean = fmean(weights) if weights else math.nan
            switch = same[0].switch_epoch
            found.append(Row(group=title, epoch=epoch, weight=mean, switch_epoch=switch, num_train=math.nan))
    return found
