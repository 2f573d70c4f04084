"""Figures of the course of a search: learning curves of its trials, and the epochs it saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    add_switch,
    epochs_axis,
    grouped,
    metric_axis,
    new_figure,
    plain,
    rounded,
    unit,
)
from analysis.figures.plotly_figure import PlotlyFigure, bar, scatter
from analysis.frames.pair_gains import on_first_pair
from analysis.frames.run_frames import Row, RunFrames
from analysis.frames.typed_frames import KEY, SCENARIO
from analysis.questions.learning_curves import own_curves, stops
from analysis.questions.search_savings import savings
from analysis.questions.winners import search_winners
from analysis.runs import Runs

_READ = [*SCENARIO, "trial_id", "phase", "status", "loss", "switch_epoch", "metric", "epoch", "age", "value"]
MOST_CURVES = 60
"""Number of trials whose learning curves are drawn."""


def curves_drawing(runs: Runs) -> Drawing | None:
    """Draw the learning curves of the search, from each trial's switch on, with its control; None without curves."""
    rows = runs.rows(_search_curves)
    if not rows:
        return None
    metric = str(rows[0].metric)
    figure = new_figure(EPOCHS_DONE, metric_axis(metric), height=420)
    _add_rungs(figure, runs.rows(stops), [row.value * unit(metric) for row in rows])
    shown = {row.trial_id for row in runs.rows(_ranked_trials)[:MOST_CURVES]}
    controls = [row for row in rows if row.phase == "control"]
    trials = [row for row in rows if row.phase != "control" and row.is_after and row.trial_id in shown]
    for status, name, color, width in (
        ("pruned", "stopped early", GREY, 1.0),
        ("diverged", "diverged", VERMILION, 1.0),
        ("completed", "finished", BLUE, 1.2),
    ):
        own = [row for row in trials if row.status == status]
        _add_lines(figure, own, name, {"color": color, "width": width}, metric, ends=status != "completed")
    for own in grouped(controls, "trial_id").values():
        _add_lines(figure, own, f"control ({plain(own[0].loss)})", {"color": INK, "width": 2, "dash": "dash"},
                   metric)  # fmt: skip
    _add_best(figure, runs, rows, metric)
    hidden = len(runs.searched) - len(shown)
    caption = (
        "Search trials from their own switch on; before it they equal the control. A cross marks where a trial was "
        "stopped; vertical lines: rungs at which trials were stopped."
        + (f" Not drawn: {plural(hidden, 'trial')}." if hidden > 0 else "")
    )
    return Drawing("curves", "How trials learned", caption, figure)


def _search_curves(runs: RunFrames) -> pd.DataFrame:
    """Return the curves of search trials, single runs and controls, with `is_after`: whether stage two had begun."""
    frame = runs.cut(own_curves)
    is_drawn = frame.phase.isin(("search", "control", "single")) & frame.value.notna() & on_first_pair(frame)
    own = frame.loc[is_drawn, _READ]
    return own.assign(is_after=own.age.notna() | own.switch_epoch.isna())


def _ranked_trials(runs: RunFrames) -> pd.DataFrame:
    """Return the trials that may be drawn: finished ones first, the best first."""
    is_meant = runs.scored.phase.isin(("search", "single"))
    own = runs.scored.loc[is_meant, [*KEY, "scenario", "rank_score", "metric_last"]]
    return own.sort_values(["rank_score", "metric_last"], ascending=False)


def _add_rungs(figure: PlotlyFigure, rungs: Sequence[Row], values: Sequence[float]) -> None:
    if not rungs:
        return
    xs = [x for rung in rungs for x in (rung.epochs_done, rung.epochs_done, None)]
    texts = [text for rung in rungs for text in [f"{plural(rung.num_stopped, 'trial')} stopped here"] * 3]
    figure.add_trace(
        scatter(
            x=xs, y=[min(values), max(values), None] * len(rungs), mode="lines", line={"color": FAINT, "width": 1.5},
            name="rung", text=texts, hovertemplate="%{text}<extra>rung</extra>",
        )
    )  # fmt: skip


def _add_lines(
    figure: PlotlyFigure, rows: Sequence[Row], name: str, line: dict[str, Any], metric: str, ends: bool = False
) -> None:
    """Add all curves of a kind as one trace."""
    if not rows:
        return
    xs: list[float | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    last: list[tuple[float | None, float | None, str]] = []
    for trial_id, own in grouped(rows, "trial_id").items():
        text = plain(trial_id)
        xs += epochs_axis(row.epoch for row in own)
        ys += rounded(row.value * unit(metric) for row in own)
        last.append((xs[-1], ys[-1], text))
        xs.append(None)
        ys.append(None)
        texts += [text] * (len(own) + 1)
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


def _add_best(figure: PlotlyFigure, runs: Runs, rows: Sequence[Row], metric: str) -> None:
    """Add the best trial of the search itself, with its switch."""
    winner = runs.first(search_winners)
    if winner is None:
        return
    trial_id = winner.trial_id
    own = [row for row in rows if row.trial_id == trial_id]
    best = [row for row in own if pd.isna(row.switch_epoch) or row.epoch >= row.switch_epoch - 1]
    _add_lines(figure, best, "best of the search (first pair of seeds)", {"color": ORANGE, "width": 3}, metric)
    switch = add_switch(figure, best[:1], ORANGE)
    if switch is not None:
        figure.add_annotation(
            x=switch, y=0, yref="paper", text="switch", showarrow=False, xanchor="right", yanchor="bottom",
            font={"color": "#8a5f00", "size": 12},
        )  # fmt: skip


def savings_drawing(runs: Runs) -> Drawing | None:
    """Draw the epochs that the search trained and those it saved; None without a search."""
    row = next(iter(runs.rows(savings)), None)
    if row is None:
        return None
    figure = new_figure("epochs", "", height=190)
    parts = (
        ("epochs_trained", "trained", BLUE),
        ("epochs_saved_by_trunk", "saved: stage one shared", GREEN),
        ("epochs_saved_by_stopping", "saved: stopped early", ORANGE),
        ("epochs_lost", "not trained: diverged, failed or interrupted", GREY),
    )
    for column, name, color in parts:
        num_epochs = getattr(row, column)
        if num_epochs:
            figure.add_trace(
                bar(
                    x=[num_epochs], y=["epochs"], orientation="h", name=name, marker={"color": color},
                    hovertemplate=f"{name}: %{{x:,}} epochs<extra></extra>",
                )
            )  # fmt: skip
    figure.layout["barmode"] = "stack"
    figure.update_yaxes(showticklabels=False)
    times = f", {row.times_fewer:.1f} times fewer" if not math.isnan(row.times_fewer) else ""
    caption = (
        f"{plural(row.num_trials, 'run')} from scratch would train {row.epochs_from_scratch:,} epochs; "
        f"{row.epochs_trained:,} were trained{times}. A confirmation is not counted."
    )
    return Drawing("savings", "What the search saved", caption, figure)
