"""Every plan of seeds replayed over complete curves: what the chosen configuration is worth on other seeds, and epochs.

    python -m benchmarks.seed_plans [early_stopping | seed_plans ...] [--quick] [--page FILE] [--json FILE]

The curves are those of `benchmarks.train_curves`: the set `early_stopping`, on which the default was chosen, and the
set `seed_plans`, which took no part. A search draws 16, 32 or 48 of the 48 configurations and a seed for pair 0;
`tune_runs.stopping` stops its trials, `tune_runs.seed_pairs.seed_halving` chooses those that go on, and the other seeds
stand for further pairs in every order. Per plan:

- gain: points by which the chosen configuration is above the plain control on the seeds that the plan does not use,
  ± the standard error over random choices of configurations (the five seeds are the same ones throughout);
- epochs: those of all trials, replicates and controls, over those of the plan with one pair;
- pairs used: with the one on which all trials begin.

The comparison of what Optuna is told needs values of configurations that nobody trained. They come from a random forest
fitted to the curves; see `benchmarks.seed_plans.told_values`.

Writes plans_on_SET.parquet for each set of curves and, with `early_stopping`, told_values.parquet (a row for each plan
or value, scenario and number of trials) and prints their tables; --page replaces those tables in a page of Markdown
that has `<!-- NAME -->` and `<!-- /NAME -->` around each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from absgd.errors import UserError
from benchmarks.complete_curves.curve_sets import CHOSEN_ON, CURVE_SETS, HELD_OUT
from benchmarks.complete_curves.pair_replays import ONE_PAIR, PairCells, pair_cells
from benchmarks.harness.command_line import CORES, at_least, command_parser, report_environment, write_json_report
from benchmarks.harness.marked_tables import with_tables
from benchmarks.seed_plans.candidate_plans import candidate_plans, main_plans
from benchmarks.seed_plans.plan_replays import replay_plans
from benchmarks.seed_plans.plan_tables import plan_table, told_table
from benchmarks.seed_plans.told_values import told_value_rows

SIZES = (32, 16, 48)
"""Numbers of trials; all plans for the first, the main ones for the others."""
QUICK_DRAWS = 2


def seed_plans_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = command_parser("benchmarks.seed_plans", __doc__)
    parser.add_argument("curves", nargs="*", type=curve_set, metavar="SET", help=f"default: {' '.join(CURVE_SETS)}")
    parser.add_argument("--quick", action="store_true", help="32 trials only, few draws, nothing written but --json")
    parser.add_argument("--draws", type=at_least(2), default=20, help="choices of configurations for each first seed")
    parser.add_argument("--searches", type=at_least(2), default=50, help="searches with each told value")
    parser.add_argument("--out", type=Path, default=HELD_OUT.folder)
    parser.add_argument("--page", type=Path, help="page of Markdown whose tables are replaced")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--jobs", type=at_least(1), default=CORES)
    return parser


def curve_set(name: str) -> str:
    """Return the name of a set of curves; an argument type."""
    if name not in CURVE_SETS:
        raise argparse.ArgumentTypeError(f"expected {' or '.join(CURVE_SETS)}, got {name!r}")
    return name


def _replay(task: tuple[str, PairCells, int], draws: int) -> list[dict[str, Any]]:
    curves, cells, num_trials = task
    plans = candidate_plans() if num_trials == SIZES[0] else main_plans()
    return [{"curves": curves, **row} for row in replay_plans(cells, plans, num_trials, draws)]


def _told(task: tuple[str, PairCells], searches: int) -> list[dict[str, Any]]:
    return list(told_value_rows(*task, searches))


def main() -> None:
    """Replay, write and print."""
    parser = seed_plans_parser()
    options = parser.parse_args()
    started = time.perf_counter()
    try:
        if options.page:
            options.page.read_text()  # refuses a page that is not there before anything is replayed
        by_set = {name: pair_cells(CURVE_SETS[name]) for name in options.curves or CURVE_SETS}
        options.out.mkdir(parents=True, exist_ok=True)
    except (UserError, OSError) as error:
        parser.error(str(error))
    draws, sizes = (QUICK_DRAWS, SIZES[:1]) if options.quick else (options.draws, SIZES)
    tasks = [(name, cells, size) for size in sizes for name, found in by_set.items() for cells in found.values()]
    replay = partial(_replay, draws=draws)
    ask = partial(_told, searches=QUICK_DRAWS if options.quick else options.searches)
    with ProcessPoolExecutor(options.jobs) as pool:
        replayed, asked = pool.map(replay, tasks), pool.map(ask, by_set.get(CHOSEN_ON.name, {}).items())
        rows = pd.DataFrame([row for part in replayed for row in part])
        told = pd.DataFrame([row for part in asked for row in part])
    tables = {
        f"{name}, {size} trials": list(plan_table(rows[rows.curves == name], size, ONE_PAIR.name))
        for name in by_set
        for size in sizes
    }
    if len(told):
        tables["told values"] = list(told_table(told))
    if not options.quick:
        for name, own in rows.groupby("curves"):
            own.to_parquet(options.out / f"plans_on_{name}.parquet", index=False)
        if len(told):
            told.to_parquet(options.out / "told_values.parquet", index=False)
    if options.page:
        options.page.write_text(with_tables(options.page.read_text(), tables))
    _report(options, parser.prog, by_set, draws, started)
    for name, lines in tables.items():
        print("\n".join((f"\n{name}\n", *lines)))


def _report(
    options: argparse.Namespace, program: str, by_set: Mapping[str, Mapping[str, PairCells]], draws: int, started: float
) -> None:
    report = {
        "curves": {name: {scenario: len(cells) for scenario, cells in found.items()} for name, found in by_set.items()},
        "draws": draws,
        "seconds": round(time.perf_counter() - started, 1),
        "environment": report_environment(program),
    }
    write_json_report(options.json, report, indent=1)


if __name__ == "__main__":
    main()
