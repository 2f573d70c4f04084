"""Figures as plotly.js reads them: plain dicts, since validation by plotly takes longer than all else in a report."""

from __future__ import annotations

from typing import Any

Trace = dict[str, Any]


class PlotlyFigure:
    """Traces and layout of a figure; its methods are those of `plotly.graph_objects.Figure`, without validation."""

    def __init__(self, layout: dict[str, Any]) -> None:
        self.traces: list[Trace] = []
        self.layout = layout

    def to_dict(self) -> dict[str, Any]:
        """Return the figure for `Plotly.newPlot`; `plotly.graph_objects.Figure` accepts it too."""
        return {"data": self.traces, "layout": self.layout}

    def add_trace(self, trace: Trace) -> None:
        """Add a trace, from `scatter`, `bar` or `heatmap`."""
        self.traces.append(trace)

    def add_vline(self, x: float, line: dict[str, Any]) -> None:
        """Add a vertical line over the whole height."""
        self._add_over_height({"type": "line", "x0": x, "x1": x, "line": line})

    def add_vrect(self, x0: float, x1: float, **style: Any) -> None:
        """Add a band over the whole height."""
        self._add_over_height({"type": "rect", "x0": x0, "x1": x1, **style})

    def _add_over_height(self, shape: dict[str, Any]) -> None:
        self.add_shape(**shape, xref="x", y0=0, y1=1, yref="y domain")

    def add_shape(self, **shape: Any) -> None:
        """Add a shape, in the coordinates of the axes unless it names others."""
        self.layout.setdefault("shapes", []).append(shape)

    def add_annotation(self, **annotation: Any) -> None:
        """Add a text."""
        self.layout.setdefault("annotations", []).append(annotation)

    def update_xaxes(self, **values: Any) -> None:
        """Set attributes of the horizontal axis."""
        self.layout["xaxis"].update(values)

    def update_yaxes(self, **values: Any) -> None:
        """Set attributes of the vertical axis."""
        self.layout["yaxis"].update(values)


def scatter(**values: Any) -> Trace:
    """Return a trace of points or lines; attributes that are None are left out."""
    return _trace("scatter", values)


def bar(**values: Any) -> Trace:
    """Return a trace of bars; attributes that are None are left out."""
    return _trace("bar", values)


def heatmap(**values: Any) -> Trace:
    """Return a trace of coloured cells; attributes that are None are left out."""
    return _trace("heatmap", values)


def _trace(kind: str, values: dict[str, Any]) -> Trace:
    return {"type": kind, **{name: value for name, value in values.items() if value is not None}}
