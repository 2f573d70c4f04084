"""Figures of a result: differences from the controls, and curves on fresh seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from absgd.records import METRIC_TITLES
from analysis.figures.figure_style import (
    BLUE,
    EPOCHS_DONE,
    GREY,
    INK,
    SERIES,
    Drawing,
    add_switch,
    epochs_axis,
    error_bars,
    grouped,
    metric_axis,
    new_figure,
    plain,
    rounded,
    unit,
    wrapped,
)
from analysis.figures.plotly_figure import Trace, scatter
from analysis.frames.run_frames import Row, rows_of_frame
from analysis.questions.learning_curves import winner_curves
from analysis.runs import Runs
from analysis.wording.number_text import difference_text, interval_text, p_text
from analysis.wording.titles import PLAIN_CONTROLS, title_of_control


def differences_drawing(comparisons: pd.DataFrame) -> Drawing | None:
    """Draw the differences from every control with their intervals; None without pairs.

    Args:
        comparisons: rows of `Runs.compare(control=None)` of one scenario.
    """
    rows = [row for row in rows_of_frame(comparisons) if row.n > 1][::-1]
    if not rows:
        return None
    first = rows[0]
    metric, scale = str(first.metric), unit(first.metric)
    axis = f"best minus control, {first.on}" + (" (points)" if scale == 100 else "")
    figure = new_figure(axis, "", height=130 + 42 * len(rows))
    margin = first.margin * scale
    figure.add_vrect(x0=-margin, x1=margin, fillcolor=GREY, opacity=0.15, line={"width": 0})
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    figure.add_trace(_differences_trace(rows, scale))
    caption = (
        f"{METRIC_TITLES.get(metric, metric).capitalize()} of {first.configuration} minus that of each control, paired "
        "by fresh seed, with 95 % intervals of the mean, which all hold at once. Right of zero: better; left of it: "
        f"worse; inside the grey band of {difference_text(metric, first.margin).removeprefix('+')}: equivalent; "
        "otherwise, or without an interval: undecided."
    )
    return Drawing("differences", "Is it better than the controls?", caption, figure)


def _differences_trace(rows: Sequence[Row], scale: float) -> Trace:
    """Return a point with its interval for each comparison; one without an interval has no bars."""
    texts = [
        f"{row.finding}: 95 % interval {interval_text(row.metric, row.low, row.high)}"
        f"<br>p {p_text(row.p_value)}, n = {row.n}"
        for row in rows
    ]
    lengths = [
        (row.high - row.difference, row.difference - row.low) if math.isfinite(row.low) else (0, 0) for row in rows
    ]
    above, below = ([scale * length for length in side] for side in zip(*lengths, strict=True))
    return scatter(
        x=rounded(row.difference * scale for row in rows),
        y=[wrapped(plain(title_of_control(row.control))) for row in rows],
        mode="markers",
        marker={"color": BLUE, "size": 10},
        error_x=error_bars(above, below, color=BLUE, thickness=2, width=6),
        text=texts,
        hovertemplate="%{y}<br>%{x:.2f}<br>%{text}<extra></extra>",
    )


def fresh_curves_drawing(runs: Runs) -> Drawing | None:
    """Draw mean curves over fresh seeds; None without a confirmation."""
    rows = [row for row in runs.rows(winner_curves) if row.n > 1]
    if not rows:
        return None
    metric = str(rows[0].metric)
    figure = new_figure(EPOCHS_DONE, metric_axis(metric), height=420)
    for place, (name, own) in enumerate(grouped(rows, "configuration").items()):
        color, _, dash = SERIES[place % len(SERIES)]
        title = plain(title_of_control(str(name)))
        visible = True if place == 0 or name in PLAIN_CONTROLS else "legendonly"
        figure.add_trace(
            scatter(
                x=epochs_axis(row.epoch for row in own), y=rounded(row.mean * unit(metric) for row in own),
                mode="lines", name=title,
                line={"color": color, "dash": dash, "width": 2.5 if place == 0 else 1.8}, visible=visible,
                customdata=rounded(row.std * unit(metric) for row in own),
                hovertemplate="epochs done %{x}: %{y:.2f} ± %{customdata:.2f}<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    add_switch(figure, rows)
    caption = (
        f"Means over {max(row.n for row in rows)} fresh seeds; dotted line: the switch. "
        "Click the name of another control to show it."
    )
    return Drawing("fresh-curves", "Learning on fresh seeds", caption, figure)
