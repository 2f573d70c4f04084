"""The look of figures: one calm layout, colours that colour-blind readers can distinguish, axes with units."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd
import plotly.colors

from absgd.counts import epochs_done
from absgd.records import METRIC_TITLES, METRICS, is_fraction
from absgd.terminal import printable
from analysis.figures.plotly_figure import PlotlyFigure
from analysis.frames.run_frames import Row

if TYPE_CHECKING:
    import plotly.graph_objects as go

# The palette of Okabe and Ito without its yellow, which is too faint on white.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
INK, GREY, FAINT = "#222222", "#9a9a9a", "#e4e4e4"
SCALE = "Cividis"
"""Colour scale of scores and sizes: uniform in brightness, also for colour-blind readers and in grey print."""
SERIES: tuple[tuple[str, str, str], ...] = (
    (BLUE, "circle", "solid"),
    (INK, "square", "dash"),
    (VERMILION, "diamond", "dot"),
    (GREEN, "triangle-up", "dashdot"),
    (PURPLE, "triangle-down", "longdash"),
    (ORANGE, "x", "longdashdot"),
    (SKY, "cross", "dash"),
    (GREY, "star", "dot"),
)
"""Colour, marker and dash of the winner and of each control, so that colour never distinguishes them alone."""
EPOCHS_DONE = "epochs done"
"""Title of the axis of `epochs_axis`."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure with its title and caption."""

    name: str
    """Name for files and element ids: letters and dashes."""
    title: str
    caption: str
    """Content of the figure, and how it was made."""
    plot: PlotlyFigure
    """The figure as plotly.js reads it."""

    @property
    def figure(self) -> go.Figure:
        """The figure for Python, validated by plotly."""
        import plotly.graph_objects as go  # slow to import, and no page needs it

        return go.Figure(self.plot.to_dict())


def new_figure(x: str, y: str, height: int = 380) -> PlotlyFigure:
    """Return an empty figure with titled axes; height in pixels."""
    axis = {"showline": True, "linecolor": GREY, "gridcolor": FAINT, "zeroline": False, "ticks": "outside"}
    layout = {
        "template": _no_template(),
        "height": height,
        "margin": {"l": 64, "r": 16, "t": 12, "b": 56},
        "font": {"family": FONT, "size": 13, "color": INK},
        "xaxis": {**axis, "title": {"text": x, "font": {"size": 13}}, "automargin": True},
        "yaxis": {**axis, "title": {"text": y, "font": {"size": 13}}, "automargin": True},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "xanchor": "left", "font": {"size": 12}},
        "hoverlabel": {"font": {"family": FONT}},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
    }
    return PlotlyFigure(layout)


@cache
def _no_template() -> dict[str, Any]:
    """Return plotly's template without a look of its own."""
    import plotly.io

    found: dict[str, Any] = plotly.io.templates["none"].to_plotly_json()
    return found


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 of every decade between two positive numbers; only powers of ten over many decades.

    >>> log_ticks(0.5, 50)
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 5 else (1,)
    ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def unit(metric: str) -> float:
    """Return the factor from a metric to its displayed value."""
    return 100.0 if is_fraction(metric) else 1.0


def metric_axis(metric: str, on: str = "validation") -> str:
    """Return the title of a metric's axis, with its unit."""
    name = METRIC_TITLES.get(metric, metric.replace("_", " "))
    return f"{on} {name}" + (" (%)" if is_fraction(metric) and metric in METRICS else "")


def epochs_axis(epochs: Iterable[int]) -> list[float | None]:
    """Return the epochs done after each epoch of the records."""
    return [epochs_done(int(epoch)) for epoch in epochs]


@cache
def colors_of_scale() -> list[list[Any]]:
    """Return the places and colours of `SCALE`."""
    colors = plotly.colors.sequential.Cividis
    return [[place / (len(colors) - 1), color] for place, color in enumerate(colors)]


@cache
def shades(count: int) -> tuple[str, ...]:
    """Return colours of an ordered sequence, without the faint end of the scale."""
    if count == 0:
        return ()
    places = [0.85 * k / max(count - 1, 1) for k in range(count)]
    return tuple(plotly.colors.sample_colorscale(SCALE, places))


def shade_of(values: Sequence[float]) -> list[str]:
    """Return a colour for each value, on a scale from the lowest to the highest."""
    low, high = min(values), max(values)
    width = high - low or 1.0
    return list(plotly.colors.sample_colorscale(SCALE, [0.95 * (value - low) / width for value in values]))


def grouped(rows: Iterable[Row], column: str) -> dict[Any, list[Row]]:
    """Return the rows with each value of a column, in the order in which these come first."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(getattr(row, column), []).append(row)
    return found


def add_switch(figure: PlotlyFigure, rows: Iterable[Row], color: str = GREY) -> int | None:
    """Mark the first known `switch_epoch` of some rows by a dotted line, and return it."""
    switch = next((int(row.switch_epoch) for row in rows if not pd.isna(row.switch_epoch)), None)
    if switch is not None:
        figure.add_vline(x=switch, line={"color": color, "dash": "dot", "width": 1.5})
    return switch


def error_bars(above: Iterable[float], below: Iterable[float], **style: Any) -> dict[str, Any]:
    """Return the error bars of points: a length to either side of each, in units of its axis."""
    return {"type": "data", "symmetric": False, "array": rounded(above), "arrayminus": rounded(below), **style}


def rounded(values: Any) -> list[float | None]:
    """Round numbers to six digits, which is all that a hover shows; missing ones become None."""
    return [None if value is None or value != value else float(f"{float(value):.6g}") for value in values]


def plain(text: object) -> str:
    """Escape text for plotly, which interprets a few tags."""
    return printable(str(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def wrapped(text: str, width: int = 20) -> str:
    """Wrap a label of our own over several lines, so that it leaves room for the figure on a phone."""
    return "<br>".join(textwrap.wrap(text, width))
