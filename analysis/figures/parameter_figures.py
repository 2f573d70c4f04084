"""Figures of the searched parameters: scores over two of them, and the importance of each."""

from __future__ import annotations

from typing import Any

import pandas as pd

from absgd.counts import plural
from analysis.figures.figure_style import (
    BLUE,
    GREY,
    INK,
    VERMILION,
    Drawing,
    colors_of_scale,
    log_ticks,
    metric_axis,
    new_figure,
    plain,
    rounded,
    unit,
)
from analysis.figures.plotly_figure import PlotlyFigure, bar, scatter
from analysis.frames.searched_parameters import searched_parameters
from analysis.questions.parameter_importance import METHOD_TITLES
from analysis.questions.winners import winners_of
from analysis.runs import Runs
from analysis.wording.number_text import score_text
from analysis.wording.titles import title_of_parameter


def landscape_drawing(runs: Runs, x: str = "lam", y: str = "gamma") -> Drawing | None:
    """Draw scores over two parameters; None if fewer than two trials have both and a metric."""
    frame = runs.landscape(x, y).dropna(subset=["metric"])
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
    marker = {
        "color": values,
        "colorscale": colors_of_scale(),
        "size": 12,
        "line": {"color": INK, "width": 1},
        "colorbar": bar,
    }
    _add_points(figure, done, x, y, "finished", marker)
    _mark_winner(figure, runs, x, y)
    own = {one.column: one for one in searched_parameters(runs.space_of(str(runs.trials.folder.iloc[0])), runs.trials)}
    for update, name in ((figure.update_xaxes, x), (figure.update_yaxes, y)):
        parameter = own.get(name)
        if parameter is not None and parameter.log and (frame[name] > 0).all():
            ticks = log_ticks(float(frame[name].min()) * 0.7, float(frame[name].max()) * 1.4)
            update(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    caption = (
        f"Every search trial by {title_of_parameter(x)} and {title_of_parameter(y)}; colour: {metric_axis(metric)}, "
        f"{runs.rule.title}. Stopped trials have no colour: they had fewer epochs."
    )
    return Drawing("landscape", f"{title_of_parameter(x)} and {title_of_parameter(y)}", caption, figure)


def _add_points(figure: PlotlyFigure, rows: pd.DataFrame, x: str, y: str, name: str, marker: dict[str, Any]) -> None:
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
        scatter(
            x=rounded(rows[x]), y=rounded(rows[y]), mode="markers", name=name, marker=marker, text=texts,
            hovertemplate=hover,
        )
    )  # fmt: skip


def _mark_winner(figure: PlotlyFigure, runs: Runs, x: str, y: str) -> None:
    winners = winners_of(runs).dropna(subset=[x, y])
    if winners.empty:
        return
    winner = winners.iloc[0]
    marker = {"symbol": "circle-open", "size": 22, "color": INK, "line": {"width": 2}}
    figure.add_trace(
        scatter(
            x=rounded([winner[x]]), y=rounded([winner[y]]), mode="markers", name="best", marker=marker, hoverinfo="skip"
        )
    )


def importance_drawing(runs: Runs) -> Drawing | None:
    """Draw the importance of each parameter as bars; None with too few trials."""
    frame = runs.importance()
    frame = frame[frame.importance.notna()] if len(frame) else frame
    if frame.empty:
        return None
    figure = new_figure("importance (share of 1)", "", height=120 + 36 * len(frame))
    names = [title_of_parameter(name) for name in frame.parameter][::-1]
    values = rounded(frame.importance)[::-1]
    hover = "%{y}: %{x:.2f}<extra></extra>"
    figure.add_trace(bar(x=values, y=names, orientation="h", marker={"color": BLUE}, hovertemplate=hover))
    figure.update_xaxes(range=[0, 1])
    first = frame.iloc[0]
    counts = f"{plural(int(first.num_completed), 'finished trial')}, {int(first.num_pruned)} pruned"
    return Drawing("importance", "What matters", f"{METHOD_TITLES[first.method]}. {counts}.", figure)
