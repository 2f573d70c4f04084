"""Figures of the course of a search: learning curves of its trials, and the epochs it saved."""

from __future__ import annotations

import itertools
import math
import operator
from typing import Any

import pandas as pd

from absgd.counts import plural
from analysis.figures.figure_style import (
    BLUE,
    EPOCHS_DONE,
    FAINT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    VERMILION,
    Drawing,
    epochs_axis,
    metric_axis,
    new_figure,
    plain,
    rounded,
    unit,
)
from analysis.figures.plotly_figure import PlotlyFigure, bar, scatter
from analysis.frames.pair_gains import on_first_pair
from analysis.questions.learning_curves import stops
from analysis.questions.winners import search_winners_of
from analysis.runs import Runs

_READ = ["trial_id", "phase", "status", "loss", "switch_epoch", "metric", "epoch", "age", "value"]
MOST_CURVES = 60
"""Number of trials whose learning curves are drawn."""


def curves_drawing(runs: Runs) -> Drawing | None:
    """Draw the learning curves of the search, from each trial's switch on, with its control; None without curves."""
    frame = runs.curves()
    is_drawn = frame.phase.isin(("search", "control", "single")) & frame.value.notna() & on_first_pair(frame)
    own = frame.loc[is_drawn, _READ]
    if own.empty:
        return None
    metric = str(own.metric.iloc[0])
    figure = new_figure(EPOCHS_DONE, metric_axis(metric), height=420)
    rungs = runs.cut(stops)
    _add_rungs(figure, rungs, own.value * unit(metric))
    shown = _chosen_trials(runs)
    is_after = own.age.notna() | own.switch_epoch.isna()
    for status, name, color, width in (
        ("pruned", "stopped early", GREY, 1.0),
        ("diverged", "diverged", VERMILION, 1.0),
        ("completed", "finished", BLUE, 1.2),
    ):
        rows = own[is_after & own.trial_id.isin(shown) & (own.status == status) & (own.phase != "control")]
        _add_lines(figure, rows, name, {"color": color, "width": width}, metric, ends=status != "completed")
    for _, rows in own[own.phase == "control"].groupby("trial_id"):
        _add_lines(figure, rows, f"control ({plain(rows.loss.iloc[0])})", {"color": INK, "width": 2, "dash": "dash"},
                   metric)  # fmt: skip
    _add_best(figure, runs, own, metric)
    hidden = int((runs.trials.phase == "search").sum()) - len(shown)
    caption = (
        "Search trials from their own switch on; before it they equal the control. A cross marks where a trial was "
        "stopped; vertical lines: rungs at which trials were stopped."
        + (f" Not drawn: {plural(hidden, 'trial')}." if hidden > 0 else "")
    )
    return Drawing("curves", "How trials learned", caption, figure)


def _chosen_trials(runs: Runs) -> set[str]:
    """Return the ids of the trials to draw: finished ones first, the best first."""
    narrow = runs.scored[["trial_id", "rank_score", "metric_last"]]
    own = narrow[runs.scored.phase.isin(("search", "single"))]
    return set(own.sort_values(["rank_score", "metric_last"], ascending=False).head(MOST_CURVES).trial_id)


def _add_rungs(figure: PlotlyFigure, rungs: pd.DataFrame, values: pd.Series[Any]) -> None:
    if rungs.empty:
        return
    low, high = float(values.min()), float(values.max())
    xs: list[float | None] = []
    for epoch in rungs.epochs_done.tolist():
        xs += [epoch, epoch, None]
    texts = [text for number in rungs.num_stopped for text in [f"{plural(int(number), 'trial')} stopped here"] * 3]
    figure.add_trace(
        scatter(
            x=xs, y=[low, high, None] * len(rungs), mode="lines", line={"color": FAINT, "width": 1.5}, name="rung",
            text=texts, hovertemplate="%{text}<extra>rung</extra>",
        )
    )  # fmt: skip


def _add_lines(
    figure: PlotlyFigure, rows: pd.DataFrame, name: str, line: dict[str, Any], metric: str, ends: bool = False
) -> None:
    """Add all curves of a kind as one trace."""
    if rows.empty:
        return
    xs: list[float | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    last: list[tuple[float | None, float | None, str]] = []
    points = zip(rows.trial_id, epochs_axis(rows.epoch), rounded(rows.value * unit(metric)), strict=True)
    for trial_id, own in itertools.groupby(points, operator.itemgetter(0)):  # rows are sorted by trial
        text = plain(trial_id)
        for _, done, value in own:
            xs.append(done)
            ys.append(value)
            texts.append(text)
        last.append((xs[-1], ys[-1], text))
        xs.append(None)
        ys.append(None)
        texts.append(text)
    hover = "%{text}<br>epochs done %{x}: %{y:.4g}<extra></extra>"
    figure.add_trace(scatter(x=xs, y=ys, mode="lines", line=line, name=name, text=texts, hovertemplate=hover))
    if ends:
        figure.add_trace(
            scatter(
                x=[done for done, _, _ in last], y=[value for _, value, _ in last], mode="markers", showlegend=False,
                marker={"symbol": "x-thin", "size": 7, "line": {"color": line["color"], "width": 1.5}},
                text=[name for _, _, name in last], hovertemplate=hover,
            )
        )  # fmt: skip


def _add_best(figure: PlotlyFigure, runs: Runs, rows: pd.DataFrame, metric: str) -> None:
    """Add the best trial of the search itself, with its switch."""
    winners = search_winners_of(runs)
    if winners.empty:
        return
    best = rows[rows.trial_id == winners.trial_id.iloc[0]]
    best = best[best.switch_epoch.isna() | (best.epoch >= best.switch_epoch - 1)]
    _add_lines(figure, best, "best of the search (first pair of seeds)", {"color": ORANGE, "width": 3}, metric)
    switch = best.switch_epoch.iloc[0] if len(best) else None
    if switch is not None and not pd.isna(switch):
        figure.add_vline(x=int(switch), line={"color": ORANGE, "dash": "dot", "width": 1.5})
        figure.add_annotation(
            x=int(switch), y=0, yref="paper", text="switch", showarrow=False, xanchor="right", yanchor="bottom",
            font={"color": "#8a5f00", "size": 12},
        )  # fmt: skip


def savings_drawing(runs: Runs) -> Drawing | None:
    """Draw the epochs that the search trained and those it saved; None without a search."""
    frame = runs.savings()
    if frame.empty:
        return None
    row = frame.iloc[0]
    figure = new_figure("epochs", "", height=190)
    parts = (
        ("epochs_trained", "trained", BLUE),
        ("epochs_saved_by_trunk", "saved: stage one shared", GREEN),
        ("epochs_saved_by_stopping", "saved: stopped early", ORANGE),
        ("epochs_lost", "not trained: diverged, failed or interrupted", GREY),
    )
    for column, name, color in parts:
        if row[column]:
            figure.add_trace(
                bar(
                    x=[int(row[column])], y=["epochs"], orientation="h", name=name, marker={"color": color},
                    hovertemplate=f"{name}: %{{x:,}} epochs<extra></extra>",
                )
            )  # fmt: skip
    figure.layout["barmode"] = "stack"
    figure.update_yaxes(showticklabels=False)
    times = f", {row.times_fewer:.1f} times fewer" if not math.isnan(row.times_fewer) else ""
    caption = (
        f"{plural(int(row.num_trials), 'run')} from scratch would train {int(row.epochs_from_scratch):,} epochs; "
        f"{int(row.epochs_trained):,} were trained{times}. A confirmation is not counted."
    )
    return Drawing("savings", "What the search saved", caption, figure)
