"""From nothing to a verdict: epochs, processor time, what is chosen, and how often the verdict is right.

    python -m benchmarks.verdict_cost [--quick] [--draws 10] [--repetitions 200] [--json FILE] [--page FILE]

Three ways to search 32 configurations and to say whether the best one beats plain training and other controls:

- script: every trial from scratch under Ray's ASHA with rungs after the latest switch; then winner and six controls
  from scratch on three seeds, and a paired t-test for each control, corrected by Holm over the controls;
- before: what earlier versions did: a search on one seed, then its best 3 and the controls on three fresh seeds, forked
  from the plain control where they equal it at first; paired t-tests, corrected by Holm over the scenarios for controls
  that must be beaten, and over all comparisons for the others;
- now: the default search over seeds, then a confirmation pair by pair, by `tune_runs.confirmation.rounds`.

The search is replayed over the complete curves of `benchmarks.train_curves`, both sets, with the code that decides in a
search. *gain* is that of the chosen configuration over the plain control, on seeds that chose nothing, in points. The
fresh runs of the verdict are simulated: normal, with the spread that gains of chosen configurations have over the seeds
of the curves; all controls lie 0, 1, 2 or 4 standard deviations of a paired difference below the winner. *right* is the
share of verdicts without a wrong claim which also find the winner better than plain training at both learning rates
where it is; at 0 the claim "equivalent" is right too.

Processor time: epochs times the seconds of a plain epoch of the scenario on one core of this machine; starting
processes and reading the test set are left out, and a stage-two epoch is taken to cost the same (`step_cost`).
"""

from __future__ import annotations

import itertools
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from absgd.config import RunConfig
from absgd.datasets import load_splits
from absgd.errors import UserError
from absgd.training import Trainer
from benchmarks.complete_curves.curve_sets import CURVE_SETS
from benchmarks.complete_curves.curve_training import random_configs
from benchmarks.complete_curves.pair_replays import PairCells, pair_cells
from benchmarks.harness.command_line import CORES, at_least, command_parser, report_environment, write_json_report
from benchmarks.harness.marked_tables import with_tables
from benchmarks.verdict_cost.verdict_rates import (
    GAPS,
    SimulatedVerdicts,
    contest,
    fixed_epochs,
    fixed_verdicts,
    sequential_verdicts,
)
from benchmarks.verdict_cost.verdict_tables import cost_table, summary_table
from benchmarks.verdict_cost.verdict_ways import WAYS, searches, spread


def scenario_rows(task: tuple[str, PairCells], draws: int, repetitions: int) -> list[dict[str, Any]]:
    """Return a row for each way and gap of one scenario."""
    curves, cells = task
    cell = next(iter(cells.values())).cell
    (scenario,) = (one for one in cell.space.scenario_list if one.name == cell.scenario)
    configs = random_configs(cell.space, scenario)
    found = {way: list(searches(way, cells, draws)) for way in WAYS}
    std = spread(cells, found["now"])
    epoch_s = seconds_of_epoch(configs[0].stage_one())
    fixed = lru_cache(lambda way, number: fixed_epochs(way, contest(configs[number])))
    rows = []
    for way, choices in found.items():
        for gap in GAPS:
            if way == "now":
                verdicts = sequential_verdicts(configs, choices, std, gap, repetitions)
            else:
                fresh = statistics.fmean(fixed(way, one.number) for one in choices)
                verdicts = SimulatedVerdicts(fixed_verdicts(way, gap, 20 * repetitions), fresh)
            search = statistics.fmean(one.epochs for one in choices)
            rows.append(
                {
                    "curves": curves,
                    "scenario": cell.scenario,
                    "way": way,
                    "gap": gap,
                    "gain": statistics.fmean(one.gain for one in choices),
                    "gain_error": statistics.stdev(one.gain for one in choices) / len(choices) ** 0.5,
                    "search_epochs": search,
                    "epochs": search + verdicts.epochs,
                    "right": verdicts.right,
                    "std": std,
                    "processor_s": (search + verdicts.epochs) * epoch_s,
                }
            )
    return rows


def seconds_of_epoch(config: RunConfig, epochs: int = 3) -> float:
    """Measure the processor seconds of an epoch, validation included, on one core; the first is left out."""
    torch.set_num_threads(1)
    ended = [time.process_time() for _ in itertools.islice(Trainer(config, load_splits(config)).epochs(), epochs + 1)]
    return (ended[-1] - ended[0]) / epochs


def main() -> None:
    """Compare the ways, print and write."""
    parser = command_parser("benchmarks.verdict_cost", __doc__)
    parser.add_argument("--quick", action="store_true", help="few draws and repetitions")
    parser.add_argument("--draws", type=at_least(1), default=10, help="searches for each first seed")
    parser.add_argument("--repetitions", type=at_least(1), default=200, help="simulated confirmations at each gap")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path, help="page of Markdown whose tables are replaced")
    parser.add_argument("--jobs", type=at_least(1), default=CORES)
    options = parser.parse_args()
    try:
        page = options.page and options.page.read_text()
        tasks = [(name, cells) for name, curves in CURVE_SETS.items() for cells in pair_cells(curves).values()]
    except (UserError, OSError) as error:
        parser.error(str(error))
    draws, repetitions = (1, 20) if options.quick else (options.draws, options.repetitions)
    with ProcessPoolExecutor(options.jobs) as pool:
        found = pool.map(partial(scenario_rows, draws=draws, repetitions=repetitions), tasks)
        rows = pd.DataFrame([row for part in found for row in part])
    tables = {"ways to a verdict": list(summary_table(rows)), "ways by scenario": list(cost_table(rows))}
    for name, lines in tables.items():
        print("\n".join((f"\n{name}\n", *lines)))
    if page:
        options.page.write_text(with_tables(page, tables))
    report = {**report_environment(parser.prog), "rows": rows.round(5).to_dict("records")}
    write_json_report(options.json, report, indent=1)


if __name__ == "__main__":
    main()
