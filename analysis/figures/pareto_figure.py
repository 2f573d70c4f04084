"""The figure of a search for two metrics: its trials, the front, and the chosen one."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.figures.figure_style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    Drawing,
    metric_axis,
    new_figure,
    plain,
    rounded,
    unit,
)
from analysis.figures.plotly_figure import PlotlyFigure, scatter
from analysis.questions.pareto_front import objective_words
from analysis.runs import Runs


def pareto_drawing(runs: Runs) -> Drawing | None:
    """Draw the completed trials of a Pareto search by its two metrics; None for a search for one metric."""
    frame = runs.pareto_front()
    if frame.empty:
        return None
    first, second = str(frame.metric.iloc[0]), str(frame.second_metric.iloc[0])
    figure = new_figure(metric_axis(first), metric_axis(second), height=450)
    front = frame[frame.on_front].sort_values("first")
    others = frame[~frame.on_front & ~frame.is_control]
    controls = frame[frame.is_control]
    _add(figure, others, "behind another trial in both", {"color": GREY, "size": 9})
    line = {"color": BLUE, "width": 1.5, "dash": "dot"}
    _add(figure, front, "on the front", {"color": BLUE, "size": 11}, mode="markers+lines", line=line)
    _add(figure, controls, "plain control", {"color": INK, "symbol": "x", "size": 11})
    ring = {"symbol": "circle-open", "size": 20, "color": ORANGE, "line": {"width": 3}}
    _add(figure, frame[frame.is_chosen], "chosen", ring)
    caption = (
        "Every completed trial of the search at its last epoch, on the first pair of seeds. No trial beats one on the "
        f"front in both metrics. Chosen by {objective_words(runs)}, over all pairs of seeds of the search, so the "
        "chosen trial may be behind the front of the first pair. Stopped trials are not drawn."
    )
    return Drawing("pareto", "What one metric costs in the other", caption, figure)


def _add(figure: PlotlyFigure, rows: pd.DataFrame, name: str, marker: dict[str, Any], **style: Any) -> None:
    if rows.empty:
        return
    first, second = str(rows.metric.iloc[0]), str(rows.second_metric.iloc[0])
    figure.add_trace(
        scatter(
            x=rounded(rows["first"] * unit(first)), y=rounded(rows.second * unit(second)), name=name, marker=marker,
            text=rows.trial_id.map(plain).tolist(), hovertemplate="%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
            **{"mode": "markers", **style},
        )
    )  # fmt: skip
