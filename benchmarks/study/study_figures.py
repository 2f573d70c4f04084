"""Figures of the study, drawn like those of the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.figures.figure_files import write_figures
from analysis.figures.figure_style import FAINT, GREY, SERIES, Drawing, error_bars, new_figure, rounded
from analysis.figures.plotly_figure import scatter
from benchmarks.study.study_results import DATA_TITLES, KIND_WORDS

RIVALS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("plain cross entropy", ("ce",)),
    ("deferred class weights", ("cb-ce-drw-tuned",)),
    ("balanced softmax", ("balanced-softmax-tuned",)),
    ("SCE, TCE or LDAM alone", ("sce", "tce", "ldam")),
)
"""Title in the legend -> the controls behind it."""
_SHIFT = 0.18
"""Distance between the rivals of one scenario, in rows."""
_SHOWN = (-20.0, 40.0)
"""Points of accuracy that are shown at least; intervals after two pairs are wider."""
_EDGE = 3.0
"""Distance of the outermost difference from the edge, in points of accuracy."""


def lead_figure(frame: pd.DataFrame, dataset: str) -> Drawing:
    """Return the lead of ABSGD over rivals in each scenario of a data set, with the intervals of the confirmation.

    Args:
        frame: from `comparison_frame`.
        dataset: its name.
    """
    own = frame[frame.dataset == dataset]
    labels = list(dict.fromkeys(_labels(own)))
    plot = new_figure("points of test balanced accuracy that ABSGD is ahead", "", height=190 + 34 * len(labels))
    places = own.assign(place=[labels.index(label) for label in _labels(own)])
    for number, (title, controls) in enumerate(RIVALS):
        rows = places[places.control.isin(controls)]
        if rows.empty:
            continue
        colour, symbol, _ = SERIES[number]
        low, high = rows.low.fillna(rows.difference), rows.high.fillna(rows.difference)
        trace = scatter(
            x=rounded(rows.difference),
            y=[place + _SHIFT * (number - 1.5) for place in rows.place],
            error_x=error_bars(high - rows.difference, rows.difference - low, thickness=1.2, width=3),
            mode="markers",
            name=title,
            marker={"color": colour, "symbol": symbol, "size": 8},
        )
        plot.add_trace(trace)
    plot.layout["yaxis"] |= {
        "tickvals": list(range(len(labels))),
        "ticktext": labels,
        "range": [len(labels) - 0.5, -0.5],
    }
    shown = [min(_SHOWN[0], own.difference.min() - _EDGE), max(_SHOWN[1], own.difference.max() + _EDGE)]
    plot.layout["xaxis"] |= {"range": shown, "zeroline": True, "zerolinecolor": GREY}
    plot.layout["legend"] |= {"y": -70 / (34 * len(labels)), "yanchor": "top"}  # below the axis: titles are long
    plot.layout["margin"] |= {"b": 130}
    plot.layout["yaxis"]["gridcolor"] = FAINT
    caption = "Mean paired difference on fresh pairs of seeds, with the interval of the confirmation."
    return Drawing(f"study-{dataset}", f"The lead of ABSGD on {DATA_TITLES[dataset]}", caption, plot)


def _labels(rows: pd.DataFrame) -> list[str]:
    titles = [title.removeprefix(f"{DATA_TITLES[data]} ") for title, data in zip(rows.title, rows.dataset, strict=True)]
    return [
        f"{title}, {KIND_WORDS[kind]}" if kind in KIND_WORDS else title
        for title, kind in zip(titles, rows.kind, strict=True)
    ]


def figure_file(dataset: str) -> str:
    """Return the name of the file of a data set's figure."""
    return f"study-{dataset.replace('_', '-')}.svg"


def write_study_figures(frame: pd.DataFrame, folder: Path) -> Sequence[Path]:
    """Write a figure for each data set that was run; needs kaleido and Chromium or Chrome.

    Raises:
        UserError: if one is missing.
    """
    named = [
        (figure_file(dataset).removesuffix(".svg"), lead_figure(frame, dataset))
        for dataset in DATA_TITLES
        if (frame.dataset == dataset).any()
    ]
    return write_figures(named, folder, ["svg"])
