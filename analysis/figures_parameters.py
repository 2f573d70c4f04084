"""Figures of what was searched: where, what mattered, and all parameters together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd
import plotly.graph_objects as go

from analysis.best import best_rows
from analysis.frames import SCENARIO
from analysis.importance import METHOD_TITLES
from analysis.landscape import landscape, parallel
from analysis.numbers import plural, score_text, setting_text, title_of_parameter
from analysis.space import Searched, searched_parameters
from analysis.style import (
    BLUE,
    FAINT,
    GREY,
    INK,
    SCALE,
    VERMILION,
    Drawing,
    log_ticks,
    metric_axis,
    new_figure,
    plain,
    rounded,
    shade_of,
    unit,
    wrapped,
)

if TYPE_CHECKING:
    from analysis.runs import Runs


MOST_LINES = 60
"""Finished trials drawn as lines over all parameters."""
MOST_FAINT = 200
"""Stopped ones behind them."""


def landscape_drawing(runs: Runs, x: str = "lam", y: str = "gamma") -> Drawing | None:
    """Scores over two parameters; None where fewer than two trials have both, and a metric."""
    frame = landscape(runs, x, y).dropna(subset=["metric"])
    if len(frame) < 2:
        return None
    metric = str(frame.metric.iloc[0])
    figure = new_figure(title_of_parameter(x), title_of_parameter(y), height=450)
    for status, name, color, symbol in (
        ("pruned", "stopped early", GREY, "circle-open"),
        ("diverged", "diverged", VERMILION, "x"),
    ):
        _add_points(figure, frame[frame.status == status], x, y, name, {"color": color, "symbol": symbol, "size": 9})
    done = frame[frame.score.notna()]
    values = (done.score * unit(metric)).tolist()
    title = {"text": metric_axis(metric), "side": "bottom", "font": {"size": 13}}
    bar = {"title": title, "thickness": 10, "orientation": "h", "y": -0.2, "yanchor": "top", "tickformat": ".4g"}
    marker = {"color": values, "colorscale": SCALE, "size": 12, "line": {"color": INK, "width": 1}, "colorbar": bar}
    _add_points(figure, done, x, y, "finished", marker)
    _mark_winner(figure, runs, x, y)
    own = {one.column: one for one in searched_parameters(_space(runs), runs.trials)}
    for axis, name in ((figure.layout.xaxis, x), (figure.layout.yaxis, y)):
        parameter = own.get(name)
        if parameter is not None and parameter.log and (frame[name] > 0).all():
            ticks = log_ticks(float(frame[name].min()) * 0.7, float(frame[name].max()) * 1.4)
            axis.update(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    caption = (
        f"Every search trial by {title_of_parameter(x)} and {title_of_parameter(y)}; colour: {metric_axis(metric)}, "
        f"{runs.rule.title}. Stopped trials have no colour: they had fewer epochs."
    )
    return Drawing("landscape", f"{title_of_parameter(x)} and {title_of_parameter(y)}", caption, figure)


def _space(runs: Runs) -> Any:
    return runs.space_of(str(runs.trials.folder.iloc[0]))


def _add_points(figure: go.Figure, rows: pd.DataFrame, x: str, y: str, name: str, marker: dict[str, Any]) -> None:
    if rows.empty:
        return
    texts = [
        f"{trial}<br>{status} after {plural(done, 'epoch')}<br>{score_text(metric, value)}"
        for trial, status, done, metric, value in zip(
            rows.trial_id.map(plain), rows.status, rows.epochs_done, rows.metric, rows.last_value, strict=True
        )
    ]
    hover = f"{title_of_parameter(x)} %{{x:.4g}}, {title_of_parameter(y)} %{{y:.4g}}<br>%{{text}}<extra></extra>"
    figure.add_trace(
        go.Scatter(
            x=rounded(rows[x]), y=rounded(rows[y]), mode="markers", name=name, marker=marker, text=texts,
            hovertemplate=hover,
        )
    )  # fmt: skip


def _mark_winner(figure: go.Figure, runs: Runs, x: str, y: str) -> None:
    winners = best_rows(runs.configurations, SCENARIO).dropna(subset=[x, y])
    if winners.empty:
        return
    winner = winners.iloc[0]
    marker = {"symbol": "circle-open", "size": 22, "color": INK, "line": {"width": 2}}
    figure.add_trace(
        go.Scatter(
            x=rounded([winner[x]]), y=rounded([winner[y]]), mode="markers", name="best", marker=marker, hoverinfo="skip"
        )
    )


def importance_drawing(runs: Runs) -> Drawing | None:
    """Bars of importance; None where too few trials tell any."""
    frame = runs.importance()
    frame = frame[frame.importance.notna()] if len(frame) else frame
    if frame.empty:
        return None
    figure = new_figure("importance (share of 1)", "", height=120 + 36 * len(frame))
    names = [title_of_parameter(name) for name in frame.parameter][::-1]
    values = rounded(frame.importance)[::-1]
    hover = "%{y}: %{x:.2f}<extra></extra>"
    figure.add_trace(go.Bar(x=values, y=names, orientation="h", marker={"color": BLUE}, hovertemplate=hover))
    figure.update_xaxes(range=[0, 1])
    first = frame.iloc[0]
    counts = f"{plural(int(first.num_completed), 'finished trial')}, {int(first.num_pruned)} pruned"
    return Drawing("importance", "What matters", f"{METHOD_TITLES[first.method]}. {counts}.", figure)


def parallel_drawing(runs: Runs) -> Drawing | None:
    """Parallel coordinates as plain lines; None where no trial finished.

    Plotly's own need WebGL, which neither every browser nor a PDF has.
    """
    trials, parameters = parallel(runs)
    done = trials[trials.score.notna()].sort_values("rank_score")
    if done.empty or not parameters:
        return None
    metric = str(done.metric.iloc[0])
    hidden = max(0, len(done) - MOST_LINES)
    done, pruned = done.tail(MOST_LINES), trials[trials.status == "pruned"].tail(MOST_FAINT)
    shown = pd.concat([pruned, done])
    axes = [_axis(shown, parameter) for parameter in parameters]
    axes.append(_Axis("score (%)" if unit(metric) == 100 else "score", done.score * unit(metric)))
    figure = new_figure("", "", height=400)
    titles = [wrapped(plain(axis.title), 10) for axis in axes]
    ends = [-0.35, len(axes) - 0.65]
    figure.update_xaxes(tickvals=list(range(len(axes))), ticktext=titles, range=ends, showline=False, tickangle=0)
    figure.update_yaxes(visible=False, range=[-0.12, 1.12])
    xs: list[float | None] = []
    ys: list[float | None] = []
    for index in range(len(pruned)):
        xs += [*range(len(axes) - 1), None]
        ys += [*(axis.place(pruned.index[index]) for axis in axes[:-1]), None]
    if xs:
        line = {"color": FAINT, "width": 1}
        figure.add_trace(go.Scatter(x=xs, y=ys, mode="lines", line=line, name="stopped early", hoverinfo="skip"))
    colors = shade_of(done.rank_score.tolist())
    for color, index, trial_id in zip(colors, done.index.tolist(), done.trial_id, strict=True):
        text = "<br>".join(f"{axis.title}: {axis.text(index)}" for axis in axes)
        figure.add_trace(
            go.Scatter(
                x=list(range(len(axes))), y=[axis.place(index) for axis in axes], mode="lines+markers",
                line={"color": color, "width": 2.5}, marker={"size": 6}, name=plain(trial_id), showlegend=False,
                text=[text] * len(axes), hovertemplate="%{text}<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    for place, axis in enumerate(axes):
        figure.add_shape(type="line", x0=place, x1=place, y0=0, y1=1, line={"color": GREY, "width": 1}, layer="below")
        for y, label in axis.labels:
            figure.add_annotation(x=place, y=y, text=label, showarrow=False, yshift=10 if y >= 0.5 else -10)
    caption = (
        f"One line for each finished trial, the brighter the better its score ({metric_axis(metric)}, "
        f"{runs.rule.title}); grey: stopped early, without a score."
        + (f" The {hidden} worst are not drawn." if hidden else "")
    )
    return Drawing("parallel", "All parameters together", caption, figure)


class _Axis:
    """One upright axis: values scaled to 0..1."""

    def __init__(self, title: str, values: pd.Series[Any], low: float | None = None, high: float | None = None,
                 log: bool = False) -> None:  # fmt: skip
        self.title = title
        self._values = values
        is_number = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
        self._log = log
        if is_number:
            numbers = values.dropna().astype("float64")
            self._low = float(numbers.min()) if low is None else low
            self._high = float(numbers.max()) if high is None else high
            self._order: list[str] = []
            self.labels = [(0.0, f"{self._low:.4g}"), (1.0, f"{self._high:.4g}")]
        else:
            self._order = sorted({str(value) for value in values})
            step = max(len(self._order) - 1, 1)
            self.labels = [(k / step, plain(name)) for k, name in enumerate(self._order)]

    def place(self, index: Any) -> float | None:
        """Height of a trial's value; None where it has none."""
        value = self._values.get(index)
        if self._order:
            return self._order.index(str(value)) / max(len(self._order) - 1, 1)
        if value is None or pd.isna(value):
            return None
        scaled = [math.log(one) if self._log else one for one in (float(value), self._low, self._high)]
        width = scaled[2] - scaled[1]
        return float(f"{(scaled[0] - scaled[1]) / width if width else 0.5:.5g}")

    def text(self, index: Any) -> str:
        """A trial's value."""
        return plain(setting_text(self._values.get(index)))


def _axis(trials: pd.DataFrame, parameter: Searched) -> _Axis:
    name, values = title_of_parameter(parameter.column), trials[parameter.column]
    is_plain = parameter.is_range and not parameter.by_magnitude
    low, high = (parameter.low, parameter.high) if is_plain else (None, None)
    return _Axis(name, values, low, high, log=parameter.log and is_plain)
