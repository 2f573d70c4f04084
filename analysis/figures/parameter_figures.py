"""Figures of the searched parameters: scores over two of them, and the importance of each."""

from __future__ import annotations

from collections.abc import Sequence
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
from analysis.frames.run_frames import Row
from analysis.questions.landscape import landscape
from analysis.questions.parameter_importance import METHOD_TITLES, importance
from analysis.questions.winners import winner_of
from analysis.runs import Runs
from analysis.wording.number_text import score_text
from analysis.wording.titles import title_of_parameter


def landscape_drawing(runs: Runs, x: str = "lam", y: str = "gamma") -> Drawing | None:
    """Draw scores over two parameters; None if fewer than two trials have both and a metric."""
    rows = [row for row in runs.rows(landscape, x, y) if not pd.isna(row.metric)]
    if len(rows) < 2:
        return None
    metric = str(rows[0].metric)
    figure = new_figure(title_of_parameter(x), title_of_parameter(y), height=450)
    for status, name, color, symbol in (
        ("pruned", "stopped early", GREY, "circle-open"),
        ("diverged", "diverged", VERMILION, "x"),
    ):
        own = [row for row in rows if row.status == status]
        _add_points(figure, own, x, y, name, {"color": color, "symbol": symbol, "size": 9})
    done = [row for row in rows if row.score == row.score]
    title = {"text": metric_axis(metric), "side": "bottom", "font": {"size": 13}}
    color_bar = {"title": title, "thickness": 10, "orientation": "h", "y": -0.2, "yanchor": "top", "tickformat": ".4g"}
    marker = {
        "color": [row.score * unit(metric) for row in done],
        "colorscale": colors_of_scale(),
        "size": 12,
        "line": {"color": INK, "width": 1},
        "colorbar": color_bar,
    }
    _add_points(figure, done, x, y, "finished", marker)
    _mark_winner(figure, runs, x, y)
    is_log = {one.column: one.log for one in runs.parameters}
    for update, name in ((figure.update_xaxes, x), (figure.update_yaxes, y)):
        values = [getattr(row, name) for row in rows]
        if is_log.get(name) and min(values) > 0:
            ticks = log_ticks(float(min(values)) * 0.7, float(max(values)) * 1.4)
            update(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    caption = (
        f"Every search trial by {title_of_parameter(x)} and {title_of_parameter(y)}; colour: {metric_axis(metric)}, "
        f"{runs.rule.title}. Stopped trials have no colour: they had fewer epochs."
    )
    return Drawing("landscape", f"{title_of_parameter(x)} and {title_of_parameter(y)}", caption, figure)


def _add_points(figure: PlotlyFigure, rows: Sequence[Row], x: str, y: str, name: str, marker: dict[str, Any]) -> None:
    if not rows:
        return
    texts = [
        f"{plain(row.trial_id)}<br>{row.status} after {plural(row.epochs_done, 'epoch')}"
        f"<br>{score_text(row.metric, row.last_value)}"
        for row in rows
    ]
    hover = f"{title_of_parameter(x)} %{{x:.4g}}, {title_of_parameter(y)} %{{y:.4g}}<br>%{{text}}<extra></extra>"
    xs, ys = (rounded(getattr(row, column) for row in rows) for column in (x, y))
    figure.add_trace(scatter(x=xs, y=ys, mode="markers", name=name, marker=marker, text=texts, hovertemplate=hover))


def _mark_winner(figure: PlotlyFigure, runs: Runs, x: str, y: str) -> None:
    winner = winner_of(runs)
    if winner is None or pd.isna(winner[x]) or pd.isna(winner[y]):
        return
    marker = {"symbol": "circle-open", "size": 22, "color": INK, "line": {"width": 2}}
    figure.add_trace(
        scatter(
            x=rounded([winner[x]]), y=rounded([winner[y]]), mode="markers", name="best", marker=marker, hoverinfo="skip"
        )
    )


def importance_drawing(runs: Runs) -> Drawing | None:
    """Draw the importance of each parameter as bars; None with too few trials."""
    rows = [row for row in runs.rows(importance, "ped-anova") if row.importance == row.importance]
    if not rows:
        return None
    figure = new_figure("importance (share of 1)", "", height=120 + 36 * len(rows))
    names = [title_of_parameter(row.parameter) for row in rows][::-1]
    values = rounded(row.importance for row in rows)[::-1]
    hover = "%{y}: %{x:.2f}<extra></extra>"
    figure.add_trace(bar(x=values, y=names, orientation="h", marker={"color": BLUE}, hovertemplate=hover))
    figure.update_xaxes(range=[0, 1])
    first = rows[0]
    counts = f"{plural(first.num_completed, 'finished trial')}, {first.num_pruned} pruned"
    return Drawing("importance", "What matters", f"{METHOD_TITLES[first.method]}. {counts}.", figure)
