"""Every rule of early stopping replayed over complete curves: what it costs and what it loses.

    python -m benchmarks.early_stopping [--curves FOLDER] [--orders 30] [--out FOLDER] [--page FILE]

The curves are those of `benchmarks.train_curves`. Trials arrive in random orders, one at a time or four that take turns
epoch by epoch; `tune_runs.stopping.stopping_rules`, the code that decides in a search, stops them. The plain way is the
stronger peer of `benchmarks.complete_curves.plain_asha`: the same trials from scratch, without a control, under Ray's
ASHA that counts from the latest switch. Per rule:

- epochs: those of stage two of all trials, and of the trunk, which is the plain control to its last epoch;
- fewer: epochs of the plain way over these;
- regret: the best trial at the last epoch, which a search without stopping keeps, minus the kept one, on the search's
  seed;
- true regret: the mean over the *other* seeds of the trial kept without stopping, minus that of the trial kept under
  the rule; negative where the rule keeps a better configuration;
- below best: the best such mean of all configurations tried, minus that of the kept one;
- rank correlation of the values compared at a rung with the metric at the end, over all trials that reach the rung.

Writes replay.parquet (a row for each rule, scenario, seed, number of trials and of trials at once: means over the
orders), rungs.parquet (rank correlations) and early_stopping.json (environment), and prints their tables; --page
replaces those tables in a page of Markdown that has `<!-- NAME -->` and `<!-- /NAME -->` around each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
import scipy

from absgd.errors import UserError
from benchmarks.complete_curves.curve_sets import CHOSEN_ON, load_cells
from benchmarks.complete_curves.curve_tables import SeedCurves
from benchmarks.early_stopping.curve_loading import comparable_cells, means_elsewhere
from benchmarks.early_stopping.rule_replays import SIZES, replay_rules
from benchmarks.early_stopping.rule_tables import rule_table, rung_table, with_short_tables
from benchmarks.early_stopping.rung_correlations import rung_correlations
from benchmarks.harness.command_line import CORES, at_least, command_parser, report_environment, write_json_report
from benchmarks.harness.locations import RESULTS


def early_stopping_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = command_parser("benchmarks.early_stopping", __doc__)
    parser.add_argument("--curves", type=Path, default=CHOSEN_ON.folder)
    parser.add_argument("--orders", type=at_least(2), default=30)
    parser.add_argument("--out", type=Path, default=RESULTS / "early_stopping")
    parser.add_argument("--page", type=Path, help="page of Markdown whose tables are replaced")
    parser.add_argument("--jobs", type=at_least(1), default=CORES)
    return parser


def replay_all(cells: Sequence[SeedCurves], orders: int, jobs: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of all rules, and the rank correlations at all rungs, over all cells."""
    with ProcessPoolExecutor(jobs) as pool:
        others = [means_elsewhere(cells, cell) for cell in cells]
        measured = [row for part in pool.map(partial(replay_rules, orders=orders), cells, others) for row in part]
        ranked = [row for part in pool.map(rung_correlations, cells) for row in part]
    return pd.DataFrame(measured), pd.DataFrame(ranked)


def main() -> None:
    """Replay, write and print."""
    parser = early_stopping_parser()
    options = parser.parse_args()
    started = time.perf_counter()
    try:
        cells = comparable_cells(load_cells(CHOSEN_ON, options.curves), max(SIZES))
        page = options.page and options.page.read_text()
        options.out.mkdir(parents=True, exist_ok=True)
    except (UserError, OSError) as error:
        parser.error(str(error))
    rows, rungs = replay_all(cells, options.orders, options.jobs)
    about = {
        "cells": [[cell.scenario, cell.seed, len(cell.curves)] for cell in cells],
        "orders": options.orders,
        "seconds": round(time.perf_counter() - started, 1),
        "environment": report_environment(parser.prog),
        "scipy": scipy.__version__,
    }
    rows.to_parquet(options.out / "replay.parquet", index=False)
    rungs.to_parquet(options.out / "rungs.parquet", index=False)
    write_json_report(options.out / "early_stopping.json", about, indent=1)
    tables = {f"{size} trials": list(rule_table(rows, size)) for size in SIZES}
    tables["rank correlation"] = list(rung_table(rungs))
    if options.page:
        options.page.write_text(with_short_tables(page, tables))
    for name, lines in tables.items():
        print("\n".join((f"\n{name}\n", *lines)))
    print(f"\n{len(cells)} cells, {options.orders} orders each, {about['seconds']} s")


if __name__ == "__main__":
    main()
