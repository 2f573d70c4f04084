"""Train complete curves of many configurations over several seeds, on which rules of early stopping are judged.

    python -m benchmarks.train_curves [SET] [--seeds 5] [--jobs 2] [--out FOLDER]

Three sets of curves: on those of `early_stopping` rules and plans are chosen, those of `seed_plans` take no part in the
choice, and those of `neighbouring_ratios` are of one data set at three ratios. For each scenario of the spaces
benchmarks/spaces/SET_*.yaml, the same random configurations and the plain control train to the last epoch on every
seed; data and training use the same seed. As in a search, trials fork from one stage one, which is exact and costs a
third. `benchmarks.early_stopping`, `benchmarks.seed_plans` and `benchmarks.point_transfer` replay the curves.

FOLDER holds a table for each scenario and seed: one row for each trial and epoch; `number` -1 is the control. Complete
tables are kept, so that an interrupted run resumes. At the end they are merged into curves.parquet, and the
configurations are written to configs.parquet.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.complete_curves.curve_sets import CHOSEN_ON, CURVE_SETS, NEIGHBOURS
from benchmarks.complete_curves.curve_training import CurveTable, random_configs, train_missing
from benchmarks.harness.command_line import CORES, at_least, command_parser
from tune_runs.space.model import Scenario, SearchSpace


def config_rows(space: SearchSpace, scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Yield a row with the attention settings of each configuration."""
    for number, config in enumerate(random_configs(space, scenario)):
        if config.attention:
            yield {"scenario": scenario.name, "number": number, **config.attention.model_dump()}


def main() -> None:
    """Train the missing tables, then merge all."""
    parser = command_parser("benchmarks.train_curves", __doc__)
    sets = {**CURVE_SETS, NEIGHBOURS.name: NEIGHBOURS}
    parser.add_argument("curves", nargs="?", choices=sets, default=CHOSEN_ON.name, help="which set of spaces")
    parser.add_argument("--seeds", type=at_least(1), default=5)
    parser.add_argument("--jobs", type=at_least(1), default=CORES)
    parser.add_argument("--out", type=Path, help="default: the folder of the set in benchmarks/results")
    options = parser.parse_args()
    chosen = sets[options.curves]
    out = options.out or chosen.folder
    kinds = [(space, scenario) for space in chosen.spaces for scenario in space.scenario_list]
    tables = [
        CurveTable(out / "parts" / f"{scenario.name}-{seed}.parquet", space, scenario, seed)
        for seed in range(options.seeds)
        for space, scenario in kinds
    ]
    train_missing(tables, options.jobs)
    merged = pd.concat([pd.read_parquet(table.path) for table in tables], ignore_index=True)
    merged.to_parquet(out / "curves.parquet", index=False)
    rows = [row for space, scenario in kinds for row in config_rows(space, scenario)]
    pd.DataFrame(rows).to_parquet(out / "configs.parquet", index=False)
    print(f"{len(merged)} rows in {out / 'curves.parquet'}")


if __name__ == "__main__":
    main()
