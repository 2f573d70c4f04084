"""The figure of all searched parameters together, in parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.figures.figure_style import (
    FAINT,
    GREY,
    Drawing,
    metric_axis,
    new_figure,
    plain,
    shade_of,
    unit,
    wrapped,
)
from analysis.figures.plotly_figure import PlotlyFigure, scatter
from analysis.frames.run_frames import Row
from analysis.frames.searched_parameters import SearchedParameter
from analysis.questions.landscape import searched_trials, searched_values
from analysis.runs import Runs
from analysis.wording.number_text import setting_text
from analysis.wording.titles import title_of_parameter

MOST_LINES = 60
"""Number of finished trials drawn as lines."""
MOST_FAINT = 200
"""Number of stopped trials drawn behind them."""


def parallel_drawing(runs: Runs) -> Drawing | None:
    """Draw parallel coordinates as plain lines; None if no trial finished.

    Plotly's own parallel coordinates need WebGL, which neither every browser nor a PDF has.
    """
    trials, parameters = searched_trials(runs)
    rows = runs.rows(searched_values)
    done = sorted((row for row in rows if row.score == row.score), key=lambda row: row.rank_score)
    if not done or not parameters:
        return None
    metric = str(done[0].metric)
    hidden = max(0, len(done) - MOST_LINES)
    done, pruned = done[-MOST_LINES:], [row for row in rows if row.status == "pruned"][-MOST_FAINT:]
    axes = [_axis(trials, [*pruned, *done], parameter) for parameter in parameters]
    scores = [row.score * unit(metric) for row in done]
    axes.append(_Axis("score (%)" if unit(metric) == 100 else "score", [*(None for _ in pruned), *scores]))
    figure = new_figure("", "", height=400)
    _add_pruned(figure, axes[:-1], len(pruned))
    _add_finished(figure, axes, done, len(pruned))
    _add_axes(figure, axes)
    caption = (
        f"One line for each finished trial, the brighter the better its score ({metric_axis(metric)}, "
        f"{runs.rule.title}); grey: stopped early, without a score."
        + (f" The {hidden} worst are not drawn." if hidden else "")
    )
    return Drawing("parallel", "All parameters together", caption, figure)


class _Axis:
    """A vertical axis, which scales the values of the trials drawn to 0..1."""

    def __init__(self, title: str, values: Sequence[Any], low: float | None = None, high: float | None = None,
                 log: bool = False, is_number: bool = True) -> None:  # fmt: skip
        self.title = title
        self._values = values
        self._log = log
        if is_number:
            numbers = [float(value) for value in values if not pd.isna(value)]
            self._low = min(numbers, default=math.nan) if low is None else low
            self._high = max(numbers, default=math.nan) if high is None else high
            self._order: list[str] = []
            self.labels = [(0.0, f"{self._low:.4g}"), (1.0, f"{self._high:.4g}")]
        else:
            self._order = sorted({str(value) for value in values})
            step = max(len(self._order) - 1, 1)
            self.labels = [(k / step, plain(name)) for k, name in enumerate(self._order)]

    def place(self, index: int) -> float | None:
        """Return the height of a trial's value; None if it has none."""
        value = self._values[index]
        if self._order:
            return self._order.index(str(value)) / max(len(self._order) - 1, 1)
        if pd.isna(value):
            return None
        scaled = [math.log(one) if self._log else one for one in (float(value), self._low, self._high)]
        width = scaled[2] - scaled[1]
        return float(f"{(scaled[0] - scaled[1]) / width if width else 0.5:.5g}")

    def text(self, index: int) -> str:
        """Return a trial's value as text."""
        return plain(setting_text(self._values[index]))


def _axis(trials: pd.DataFrame, rows: Sequence[Row], parameter: SearchedParameter) -> _Axis:
    kind = trials[parameter.column].dtype
    is_number = pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
    values = [getattr(row, parameter.column) for row in rows]
    is_plain = parameter.is_range and not parameter.by_magnitude
    low, high = (parameter.low, parameter.high) if is_plain else (None, None)
    return _Axis(title_of_parameter(parameter.column), values, low, high, parameter.log and is_plain, is_number)


def _add_pruned(figure: PlotlyFigure, axes: Sequence[_Axis], num_pruned: int) -> None:
    """Add the stopped trials, which come first, as one grey trace over the parameters' axes."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for index in range(num_pruned):
        xs += [*range(len(axes)), None]
        ys += [*(axis.place(index) for axis in axes), None]
    if xs:
        line = {"color": FAINT, "width": 1}
        figure.add_trace(scatter(x=xs, y=ys, mode="lines", line=line, name="stopped early", hoverinfo="skip"))


def _add_finished(figure: PlotlyFigure, axes: Sequence[_Axis], done: Sequence[Row], first: int) -> None:
    """Add a line for each finished trial, coloured by its score."""
    colors = shade_of([row.rank_score for row in done])
    for index, (color, row) in enumerate(zip(colors, done, strict=True), start=first):
        text = "<br>".join(f"{axis.title}: {axis.text(index)}" for axis in axes)
        figure.add_trace(
            scatter(
                x=list(range(len(axes))), y=[axis.place(index) for axis in axes], mode="lines+markers",
                line={"color": color, "width": 2.5}, marker={"size": 6}, name=plain(row.trial_id), showlegend=False,
                text=[text] * len(axes), hovertemplate="%{text}<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip


def _add_axes(figure: PlotlyFigure, axes: Sequence[_Axis]) -> None:
    titles = [wrapped(plain(axis.title), 10) for axis in axes]
    ends = [-0.35, len(axes) - 0.65]
    figure.update_xaxes(tickvals=list(range(len(axes))), ticktext=titles, range=ends, showline=False, tickangle=0)
    figure.update_yaxes(visible=False, range=[-0.12, 1.12])
    for place, axis in enumerate(axes):
        figure.add_shape(type="line", x0=place, x1=place, y0=0, y1=1, line={"color": GREY, "width": 1}, layer="below")
        for y, label in axis.labels:
            figure.add_annotation(x=place, y=y, text=label, showarrow=False, yshift=10 if y >= 0.5 else -10)
