"""Tables of the comparison as lines of Markdown, and the page that holds them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from benchmarks.harness.marked_tables import with_tables

LONG_TABLE = re.compile(r"[24], from 2 \||4, from 1 \||, from 3 \|")
"""Rules that a page omits."""


def rule_table(rows: pd.DataFrame, num_trials: int) -> Iterator[str]:
    """Format the rules by cost: means over scenarios, and the spread over seeds."""
    chosen = rows[rows.num_trials == num_trials].copy()
    chosen["data"] = chosen.scenario.str.split("-").str[0]
    points = ["regret", "regret_p90", "true_regret", "below_best"]
    chosen[points] *= 100
    sets = sorted(chosen.data.unique())
    columns = ("fewer", "regret", "true regret")
    yield f"| rule, factor, first rung | {' | '.join(f'{name}: {column}' for name in sets for column in columns)} |"
    yield "|---|" + "---:|" * len(columns) * len(sets)
    for rule in chosen.groupby("rule").fewer.mean().sort_values().index:
        cells = []
        for name in sets:
            part = chosen[(chosen.rule == rule) & (chosen.data == name)]
            by_seed = part.groupby("seed")[["fewer", *points]].mean()
            mean, spread = by_seed.mean(), by_seed.std()
            cells += [
                f"{mean.fewer:.1f}x",
                f"{mean.regret:.2f} ± {spread.regret:.2f}",
                f"{mean.true_regret:+.2f} ± {spread.true_regret:.2f}",
            ]
        yield f"| {' | '.join((str(rule), *cells))} |"


def rung_table(rungs: pd.DataFrame) -> Iterator[str]:
    """Format rank correlations at rungs that every scenario has: means over scenarios, and the spread over seeds."""
    yield "| rule | rung | with the last epoch | with the mean of the last three |"
    yield "|---|---:|---:|---:|"
    for (rule, rung), part in rungs.groupby(["rule", "rung"]):
        if part.scenario.nunique() == rungs.scenario.nunique():
            by_seed = part.pivot_table("rank_correlation", "seed", "against")
            shown = [f"{by_seed[key].mean():.2f} ± {by_seed[key].std():.2f}" for key in ("last", "last_three")]
            yield f"| {' | '.join((str(rule), str(rung), *shown))} |"


def with_short_tables(page: str, tables: Mapping[str, Sequence[str]]) -> str:
    """Replace the tables of a page, without the rules in LONG_TABLE."""
    return with_tables(
        page, {name: [line for line in lines if not LONG_TABLE.search(line)] for name, lines in tables.items()}
    )
