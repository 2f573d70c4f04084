"""Figures of kept predictions: how far confidence can be trusted, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.figures.class_figures import title_of_class
from analysis.figures.figure_style import BLUE, GREY, SERIES, Drawing, new_figure, plain, rounded
from analysis.figures.plotly_figure import heatmap, scatter
from analysis.questions.confusions import best_control, class_names, confusion_grid, top_confusions
from analysis.runs import Runs
from analysis.wording.titles import title_of_control

MOST_IN_GRID = 20
"""Classes up to which the whole matrix is drawn."""
MOST_WITH_NUMBERS = 10
"""Classes up to which its cells have numbers."""
MOST_CONFUSIONS = 15
"""Confusions that are drawn of more classes."""
FEWEST_IN_BIN = 10
"""Images that a bin of confidence must have to be drawn."""


def calibration_drawing(runs: Runs, comparisons: pd.DataFrame) -> Drawing | None:
    """Draw accuracy over confidence for the winner and the best control; None without predictions.

    Args:
        runs: the runs of one scenario.
        comparisons: its rows of `Runs.compare(control=None)`.
    """
    if not runs.prediction_outcomes.runs:
        return None
    bins = runs.calibration()
    names = _shown(bins, comparisons)
    if not names:
        return None
    on = str(bins.on.iloc[0])
    figure = new_figure("confidence: probability of the predicted class (%)", f"accuracy on {on} (%)", height=420)
    figure.add_trace(
        scatter(
            x=[0, 100], y=[0, 100], mode="lines", name="confidence is right", line={"color": GREY, "dash": "dot"},
            hoverinfo="skip",
        )
    )  # fmt: skip
    for place, name in enumerate(names):
        own = bins[(bins.configuration == name) & (bins.num_images >= FEWEST_IN_BIN)]
        color, symbol, dash = SERIES[place]
        share = own.num_images / bins[bins.configuration == name].num_images.sum()
        figure.add_trace(
            scatter(
                x=rounded(own.confidence * 100), y=rounded(own.accuracy * 100), mode="lines+markers",
                name=plain(title_of_control(name)), line={"color": color, "dash": dash, "width": 2},
                marker={"color": color, "symbol": symbol, "size": [float(6 + 16 * one**0.5) for one in share]},
                customdata=rounded(share * 100),
                hovertemplate="confidence %{x:.1f} %, accuracy %{y:.1f} %<br>%{customdata:.1f} % of the images"
                "<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    figure.update_xaxes(range=[0, 102])
    figure.update_yaxes(range=[0, 102])
    caption = (
        f"{_gap_sentence(runs, names, on)} Below the dotted line a run is surer than it is right. Marks: bins of "
        f"confidence with at least {FEWEST_IN_BIN} images, larger where there are more."
    )
    return Drawing("calibration", "Can its confidence be trusted?", caption, figure)


def _gap_sentence(runs: Runs, names: Sequence[str], on: str) -> str:
    """Return how far confidence and accuracy differ, for each configuration, from the mean over its runs."""
    numbers = runs.prediction_numbers()
    numbers = numbers[numbers.split == on]
    gaps = [100 * float(numbers.calibration_error[numbers.configuration == name].mean()) for name in names]
    others = [f"{title_of_control(name)} by {gap:.1f}" for name, gap in zip(names[1:], gaps[1:], strict=True)]
    first = f"Confidence and accuracy of {title_of_control(names[0])} differ by {gaps[0]:.1f} points on average"
    return f"{', those of '.join([first, *others])} (expected calibration error)."


def confusion_drawings(runs: Runs, comparisons: pd.DataFrame) -> list[Drawing]:
    """Draw which classes the winner and the best control take for which; empty without predictions.

    Args:
        runs: the runs of one scenario.
        comparisons: its rows of `Runs.compare(control=None)`.
    """
    if not runs.prediction_outcomes.runs:
        return []
    cells = runs.confusion()
    names = _shown(cells, comparisons)
    if not names:
        return []
    classes = class_names(cells)
    if len(classes) > MOST_IN_GRID:
        return [_top_drawing(cells, names, len(classes))]
    elements = ("confusion", "confusion-control")
    return [
        _grid_drawing(cells[cells.configuration == name], name, classes, element)
        for name, element in zip(names, elements, strict=False)
    ]


def _shown(frame: pd.DataFrame, comparisons: pd.DataFrame) -> list[str]:
    """Return the names of the winner and of the best control that a frame has."""
    controls = frame.configuration[frame.is_control.astype(bool)].unique().tolist()
    winners = frame.configuration[~frame.is_control.astype(bool)].unique().tolist()
    control = best_control(comparisons, controls)
    return [*map(str, winners[:1]), *([control] if control else [])]


def _grid_drawing(cells: pd.DataFrame, name: str, classes: Sequence[str], element: str) -> Drawing:
    grid = confusion_grid(cells, classes)
    percent = 100 * grid.share_CC
    labels = [plain(one) for one in grid.names]
    figure = new_figure("taken for", "class", height=max(380, 90 + 30 * len(labels)))
    text = [["" if value != value or value < 1 else f"{value:.0f}" for value in row] for row in percent]
    figure.add_trace(
        heatmap(
            z=[rounded(row) for row in percent], x=labels, y=labels, zmin=0, zmax=100,
            colorscale=[[0, "white"], [1, BLUE]], showscale=len(labels) > MOST_WITH_NUMBERS,
            colorbar={"title": {"text": "%"}}, text=text if len(labels) <= MOST_WITH_NUMBERS else None,
            texttemplate="%{text}" if len(labels) <= MOST_WITH_NUMBERS else None, xgap=1, ygap=1,
            hovertemplate="%{z:.1f} % of %{y} taken for %{x}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    caption = f"{_worst_sentence(cells)} Each row is 100 % of a class's images: {_images(cells)}."
    return Drawing(element, f"What {title_of_control(name)} takes for what", caption, figure)


def _top_drawing(cells: pd.DataFrame, names: Sequence[str], num_classes: int) -> Drawing:
    table = top_confusions(cells, names, MOST_CONFUSIONS).iloc[::-1]
    figure = new_figure("share of the images of the class (%)", "", height=130 + 30 * len(table))
    labels = [plain(f"{one} → {other}") for one, other in zip(table.label_name, table.predicted_name, strict=True)]
    for place, name in enumerate(names):
        color, symbol, _ = SERIES[place]
        figure.add_trace(
            scatter(
                x=rounded(table[name] * 100), y=labels, mode="markers", name=plain(title_of_control(name)),
                marker={"color": color, "symbol": symbol, "size": 10},
                hovertemplate="%{y}: %{x:.1f} %<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    figure.update_xaxes(rangemode="tozero")
    own = cells[cells.configuration == names[0]]
    caption = (
        f"{_worst_sentence(own)} The {len(table)} most frequent confusions among {num_classes} classes, "
        f"on {_images(own)}; class → taken for."
    )
    return Drawing("confusion", f"What {title_of_control(names[0])} takes for what", caption, figure)


def _worst_sentence(cells: pd.DataFrame) -> str:
    wrong = cells[cells.label != cells.predicted]
    if wrong.empty:
        return "No image is taken for another class."
    worst = wrong.iloc[int(np.argmax(wrong.share.to_numpy(dtype=np.float64)))]
    percent = f"{100 * worst.share:.0f} %"
    ours, theirs = title_of_class(str(worst.label_name)), title_of_class(str(worst.predicted_name))
    return f"Most often {ours} is taken for {theirs}: {percent} of its images."


def _images(cells: pd.DataFrame) -> str:
    num_runs = int(cells.n.iloc[0])
    of_runs = f", {num_runs} fresh seeds" if num_runs > 1 else ""
    return f"{cells.on.iloc[0]} images{of_runs}"
