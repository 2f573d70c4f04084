"""Figures of classes: the recall of each, and the attention weights of their samples."""

from __future__ import annotations

from typing import Any

import pandas as pd

from absgd.records import FEW_BELOW, MANY_ABOVE, ShotGroup, shot_group
from analysis.figures.figure_style import (
    BLUE,
    EPOCHS_DONE,
    GREY,
    SERIES,
    VERMILION,
    Drawing,
    epochs_axis,
    new_figure,
    plain,
    rounded,
    shades,
)
from analysis.figures.plotly_figure import scatter
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
    frame = runs.recall_by_class()
    if frame.empty:
        return None
    order = frame.configuration.unique().tolist()
    frame = frame.sort_values(["num_train", "class"], ascending=[False, True], kind="stable")
    num_classes = frame["class"].nunique()
    by_size = num_classes > MOST_CLASSES
    figure = new_figure("training images of the class" if by_size else "class (training images)",
                        f"recall on {frame.on.iloc[0]} (%)", height=420)  # fmt: skip
    for place, name in enumerate(order):
        own = frame[frame.configuration == name]
        color, symbol, _ = SERIES[place % len(SERIES)]
        error: dict[str, Any] | None = None
        if (own.n > 1).all():
            error = {"type": "data", "array": rounded(own["std"] * 100), "thickness": 1, "width": 3, "color": color}
        x: list[Any] = (
            own.num_train.tolist()
            if by_size
            else [_class_label(*row) for row in zip(own.class_name, own.num_train, strict=True)]
        )
        figure.add_trace(
            scatter(
                x=x, y=rounded(own.recall * 100), mode="markers" if by_size else "markers+lines", error_y=error,
                name=plain(title_of_control(str(name))), marker={"color": color, "symbol": symbol, "size": 9},
                line={"color": color, "width": 1}, text=[plain(title_of_class(name)) for name in own.class_name],
                visible=True if place == 0 or name in PLAIN_CONTROLS else "legendonly",
                hovertemplate="%{text}, %{x}: %{y:.1f}<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    if by_size:
        figure.update_xaxes(type="log")
    else:
        figure.update_xaxes(type="category")
    figure.update_yaxes(rangemode="tozero")
    seeds = int(frame.n.max())
    caption = "Classes from the most to the fewest training images" + (
        f"; mean ± standard deviation over {seeds} fresh seeds." if seeds > 1 else "; one seed, the last epoch."
    )
    return Drawing("recall", "Recall of each class", caption, figure)


def _class_label(name: str, size: float) -> str:
    return plain(f"{name} ({int(size)})" if size == size else name)


def title_of_class(name: str) -> str:
    """Return the name of a class in a legend or sentence, where a number alone says nothing."""
    return f"class {name}" if name.isdecimal() else name


def weights_drawing(runs: Runs) -> Drawing | None:
    """Draw attention weights over epochs: by clean and changed labels if noise changed any, else by class."""
    frame = runs.attention_weights()
    if frame.empty:
        return None
    is_noisy = bool((frame.kind == "label").any())
    frame = frame[frame.kind == ("label" if is_noisy else "class")]
    if not is_noisy:
        frame = frame.sort_values(["num_train", "epoch"], ascending=[False, True], kind="stable")
        if frame.group.nunique() > MOST_CLASSES:
            frame = _by_shots(frame)
    figure = new_figure(EPOCHS_DONE, "mean weight (1: plain training)", height=420)
    groups = frame.group.unique().tolist()
    colors = [BLUE, VERMILION] if is_noisy else shades(len(groups))
    dashes = ("solid", "dash", "dot", "dashdot")
    for place, (group, color) in enumerate(zip(groups, colors, strict=True)):
        own = frame[frame.group == group].sort_values("epoch")
        size = own.num_train.iloc[0]
        name = _LABEL_TITLES.get(group) or (group if group in SHOT_TITLES.values() else "")
        label = name or _class_label(title_of_class(str(own.class_name.iloc[0])), size)
        figure.add_trace(
            scatter(
                x=epochs_axis(own.epoch), y=rounded(own.weight), mode="lines", name=label,
                line={"color": color, "width": 2, "dash": dashes[place % len(dashes)]},
                hovertemplate="epochs done %{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    switch = frame.switch_epoch.dropna()
    if len(switch):
        figure.add_vline(x=int(switch.iloc[0]), line={"color": GREY, "dash": "dot", "width": 1.5})
    caption = (
        "How much each group's samples count in a batch under the best configuration; dotted line: the switch."
        + ("" if is_noisy else " In brackets: training images of the class.")
    )
    return Drawing("weights", "Where the attention goes", caption, figure)


def _by_shots(frame: pd.DataFrame) -> pd.DataFrame:
    """Return mean weights over the classes of each shot group; classes of unknown size are left out."""
    groups = frame.num_train.map(shot_group, na_action="ignore")
    parts = []
    for group, title in SHOT_TITLES.items():
        means = (
            frame[groups == group]
            .groupby("epoch")
            .agg(weight=("weight", "mean"), switch_epoch=("switch_epoch", "first"))
        )
        parts.append(means.reset_index().assign(group=title, num_train=float("nan")))
    return pd.concat(parts, ignore_index=True)
