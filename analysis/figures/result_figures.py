"""Figures of a result: differences from the controls, curves on fresh seeds, recall and weights of classes."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.figures.figure_style import (
    BLUE,
    GREY,
    INK,
    SERIES,
    VERMILION,
    Drawing,
    metric_axis,
    new_figure,
    plain,
    rounded,
    shades,
    unit,
    wrapped,
)
from analysis.questions.learning_curves import winner_curves
from analysis.runs import Runs
from analysis.wording.number_text import interval_text, p_text
from analysis.wording.titles import METRIC_TITLES, PLAIN_CONTROLS, title_of_control

MOST_CLASSES = 20
"""Number of classes above which recall is drawn over class size, and weights are averaged over groups of classes."""
SHOTS = (("many (> 100 images)", 101, None), ("medium (20 to 100)", 20, 100), ("few (< 20)", 0, 19))


def differences_drawing(comparisons: pd.DataFrame) -> Drawing | None:
    """Draw the differences from every control with their intervals; None without pairs.

    Args:
        comparisons: rows of `Runs.compare(control=None)` of one scenario.
    """
    rows = comparisons[comparisons.n > 1].iloc[::-1]
    if rows.empty:
        return None
    metric, on = str(rows.metric.iloc[0]), str(rows.on.iloc[0])
    scale = unit(metric)
    axis = f"best minus control, {on}" + (" (points)" if scale == 100 else "")
    figure = new_figure(axis, "", height=130 + 42 * len(rows))
    has_interval = rows.low.notna()
    columns = zip(rows.low, rows.high, rows.p_finding, rows.n, strict=True)
    texts = [
        f"95 % interval {interval_text(metric, low, high)}<br>p {p_text(p)}, n = {n}" for low, high, p, n in columns
    ]
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    figure.add_trace(
        go.Scatter(
            x=rounded(rows.difference * scale),
            y=[wrapped(plain(title_of_control(name))) for name in rows.control],
            mode="markers",
            marker={"color": BLUE, "size": 10},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": rounded(((rows.high - rows.difference) * scale).where(has_interval, 0)),
                "arrayminus": rounded(((rows.difference - rows.low) * scale).where(has_interval, 0)),
                "color": BLUE,
                "thickness": 2,
                "width": 6,
            },
            text=texts,
            hovertemplate="%{y}<br>%{x:.2f}<br>%{text}<extra></extra>",
        )
    )
    name = str(rows.configuration.iloc[0])
    caption = (
        f"{METRIC_TITLES.get(metric, metric).capitalize()} of {name} minus that of each control, paired by fresh seed, "
        "with 95 % intervals of the mean (Student's t). "
        "Right of zero: better. An interval across zero: not distinguishable."
    )
    return Drawing("differences", "Is it better than the controls?", caption, figure)


def fresh_curves_drawing(runs: Runs) -> Drawing | None:
    """Draw mean curves over fresh seeds; None without a confirmation."""
    frame = winner_curves(runs, runs.shown)
    frame = frame[frame.n > 1]
    if frame.empty:
        return None
    metric = str(frame.metric.iloc[0])
    figure = new_figure("epoch (from 0)", metric_axis(metric), height=420)
    for place, (name, own) in enumerate(frame.groupby("configuration", sort=False)):
        color, _, dash = SERIES[place % len(SERIES)]
        title = plain(title_of_control(str(name)))
        visible = True if place == 0 or name in PLAIN_CONTROLS else "legendonly"
        figure.add_trace(
            go.Scatter(
                x=own.epoch.tolist(), y=rounded(own["mean"] * unit(metric)), mode="lines", name=title,
                line={"color": color, "dash": dash, "width": 2.5 if place == 0 else 1.8}, visible=visible,
                customdata=rounded(own["std"] * unit(metric)),
                hovertemplate="epoch %{x}: %{y:.2f} ± %{customdata:.2f}<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    switch = frame.switch_epoch.dropna()
    if len(switch):
        figure.add_vline(x=int(switch.iloc[0]), line={"color": GREY, "dash": "dot", "width": 1.5})
    caption = (
        f"Means over {int(frame.n.max())} fresh seeds; dotted line: the switch. "
        "Click the name of another control to show it."
    )
    return Drawing("fresh-curves", "Learning on fresh seeds", caption, figure)


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
            else [_class_label(*row) for row in zip(own["class"], own.num_train, strict=True)]
        )
        figure.add_trace(
            go.Scatter(
                x=x, y=rounded(own.recall * 100), mode="markers" if by_size else "markers+lines", error_y=error,
                name=plain(title_of_control(str(name))), marker={"color": color, "symbol": symbol, "size": 9},
                line={"color": color, "width": 1}, text=[f"class {value}" for value in own["class"]],
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


def _class_label(index: int, size: float) -> str:
    return f"{index} ({int(size)})" if size == size else str(index)


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
    figure = new_figure("epoch (from 0)", "mean weight (1: plain training)", height=420)
    groups = frame.group.unique().tolist()
    colors = [BLUE, VERMILION] if is_noisy else shades(len(groups))
    dashes = ("solid", "dash", "dot", "dashdot")
    for place, (group, color) in enumerate(zip(groups, colors, strict=True)):
        own = frame[frame.group == group].sort_values("epoch")
        size = own.num_train.iloc[0]
        name = {"clean": "label left as it was", "changed": "label changed by noise"}.get(group, f"class {group}")
        name = group if group in {title for title, _, _ in SHOTS} else name
        label = f"{name} ({int(size)})" if size == size and name.startswith("class") else name
        figure.add_trace(
            go.Scatter(
                x=own.epoch.tolist(), y=rounded(own.weight), mode="lines", name=label,
                line={"color": color, "width": 2, "dash": dashes[place % len(dashes)]},
                hovertemplate="epoch %{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
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
    parts = []
    for title, fewest, most in SHOTS:
        own = frame[(frame.num_train >= fewest) & (frame.num_train <= (most or float("inf")))]
        means = own.groupby("epoch").agg(weight=("weight", "mean"), switch_epoch=("switch_epoch", "first"))
        parts.append(means.reset_index().assign(group=title, num_train=float("nan")))
    return pd.concat(parts, ignore_index=True)
