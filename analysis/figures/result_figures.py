"""Figures of a result: differences from the controls, and curves on fresh seeds."""

from __future__ import annotations

import math

import pandas as pd

from absgd.records import METRIC_TITLES
from analysis.figures.figure_style import (
    BLUE,
    EPOCHS_DONE,
    GREY,
    INK,
    SERIES,
    Drawing,
    epochs_axis,
    metric_axis,
    new_figure,
    plain,
    rounded,
    unit,
    wrapped,
)
from analysis.figures.plotly_figure import scatter
from analysis.questions.learning_curves import winner_curves
from analysis.runs import Runs
from analysis.wording.number_text import difference_text, interval_text, p_text
from analysis.wording.titles import PLAIN_CONTROLS, title_of_control


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
    has_interval = rows.low.notna() & rows.low.abs().ne(math.inf)
    columns = zip(rows.low, rows.high, rows.p_value, rows.n, rows.finding, strict=True)
    texts = [
        f"{finding}: 95 % interval {interval_text(metric, low, high)}<br>p {p_text(p)}, n = {n}"
        for low, high, p, n, finding in columns
    ]
    margin = float(rows.margin.iloc[0])
    figure.add_vrect(x0=-margin * scale, x1=margin * scale, fillcolor=GREY, opacity=0.15, line={"width": 0})
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    figure.add_trace(
        scatter(
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
        "with 95 % intervals of the mean, which all hold at once. Right of zero: better; left of it: worse; inside the "
        f"grey band of {difference_text(metric, margin).removeprefix('+')}: equivalent; otherwise, or without an "
        "interval: undecided."
    )
    return Drawing("differences", "Is it better than the controls?", caption, figure)


def fresh_curves_drawing(runs: Runs) -> Drawing | None:
    """Draw mean curves over fresh seeds; None without a confirmation."""
    frame = runs.cut(winner_curves)
    frame = frame[frame.n > 1]
    if frame.empty:
        return None
    metric = str(frame.metric.iloc[0])
    figure = new_figure(EPOCHS_DONE, metric_axis(metric), height=420)
    for place, (name, own) in enumerate(frame.groupby("configuration", sort=False)):
        color, _, dash = SERIES[place % len(SERIES)]
        title = plain(title_of_control(str(name)))
        visible = True if place == 0 or name in PLAIN_CONTROLS else "legendonly"
        figure.add_trace(
            scatter(
                x=epochs_axis(own.epoch), y=rounded(own["mean"] * unit(metric)), mode="lines", name=title,
                line={"color": color, "dash": dash, "width": 2.5 if place == 0 else 1.8}, visible=visible,
                customdata=rounded(own["std"] * unit(metric)),
                hovertemplate="epochs done %{x}: %{y:.2f} ± %{customdata:.2f}<extra>%{fullData.name}</extra>",
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
