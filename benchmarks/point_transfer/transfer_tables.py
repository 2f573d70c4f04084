"""Gain and cost of each way to take points, compared draw by draw with taking none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from benchmarks.point_transfer.transfer_ways import WITHOUT

SEARCH = ["drawn_by", "num_trials", "with_known"]
"""Columns that tell one kind of search from another."""
PAIR = ["source", "scenario"]


def compared_ways(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each kind of search, pair of scenarios and way.

    Args:
        rows: a row for each draw of each; `epochs` is missing where nothing is stopped early.

    Returns:
        `gain`: mean over the draws; `difference`: mean over the draws of the gain minus that of the same draw without
        points, with standard error, median and quartiles; `epochs`: mean; `relative_epochs`: over that without points.
    """
    keys = [*SEARCH, *PAIR, "draw"]
    without = rows[rows.way == str(WITHOUT)].set_index(keys)[["gain", "epochs"]]
    paired = rows.join(without.add_suffix("_without"), on=keys)
    paired["difference"] = paired.gain - paired.gain_without
    grouped = paired.groupby([*SEARCH, *PAIR, "way"], sort=False)
    found = grouped[["gain", "difference"]].mean()
    found["error"] = grouped.difference.std() / grouped.difference.count().map(math.sqrt)
    for name, share in (("low", 0.25), ("median", 0.5), ("high", 0.75)):
        found[name] = grouped.difference.quantile(share)
    found["epochs"] = grouped.epochs.mean()
    found["relative_epochs"] = found.epochs / grouped.epochs_without.mean()
    return found.reset_index()


def way_table(compared: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Format one kind of search: differences in points for each pair of scenarios, and epochs over all pairs.

    Args:
        compared: rows of `compared_ways` of one kind of search.
        pairs: neighbour and searched scenario of each column.
    """
    yield f"| points taken | {' | '.join(f'{one} to {other}' for one, other in pairs)} | mean | epochs |"
    yield "|---|" + "---:|" * (len(pairs) + 2)
    for way in dict.fromkeys(compared.way):
        own = compared[compared.way == way].set_index(PAIR)
        if way == str(WITHOUT):
            cells = [f"gain {100 * own.gain[pair]:.2f}" for pair in pairs]
            yield f"| {' | '.join((way, *cells, f'{100 * own.gain.mean():.2f}', '1.00x'))} |"
            continue
        cells = [_difference(own.loc[[pair]]) for pair in pairs]
        epochs = "" if own.epochs.isna().all() else f"{own.relative_epochs.mean():.2f}x"
        yield f"| {' | '.join((way, *cells, f'{100 * own.difference.mean():+.2f}', epochs))} |"


def equal_gain_table(compared: pd.DataFrame) -> Iterator[str]:
    """Format the epochs at which searches without points reach the gain of each way, by interpolation over their sizes.

    Args:
        compared: rows of `compared_ways` that differ in the number of trials, the pair of scenarios and the way.
    """
    means = compared.groupby(["way", "num_trials"], sort=False)[["gain", "epochs"]].mean()
    without = means.loc[[str(WITHOUT)]].sort_values("gain")
    sizes = list(dict.fromkeys(compared.num_trials))
    yield f"| points taken | {' | '.join(f'{size} trials: epochs | without points' for size in sizes)} |"
    yield "|---|" + "---:|" * 2 * len(sizes)
    for way in dict.fromkeys(compared.way):
        cells = []
        for size in sizes:
            gain, epochs = means.loc[[(way, size)]].iloc[0]
            needed = np.interp(gain, without.gain, without.epochs, left=math.nan, right=math.nan)
            cells += [f"{epochs:.0f}", "beyond" if math.isnan(needed) else f"{needed:.0f}"]
        yield f"| {' | '.join((str(way), *cells))} |"


def _difference(row: pd.DataFrame) -> str:
    """Format the only row of a frame."""
    points = {name: 100 * float(row[name].iloc[0]) for name in ("difference", "error", "low", "median", "high")}
    quartiles = ", ".join(f"{points[name]:+.1f}" for name in ("low", "median", "high"))
    return f"{points['difference']:+.2f} ± {points['error']:.2f} ({quartiles})"
