"""Train complete curves of many configurations over several seeds: what rules of early stopping are judged on.

    python -m benchmarks.train_curves [--seeds 5] [--jobs 2] [--out FOLDER]

For each scenario of the spaces benchmarks/spaces/early_stopping_*.yaml the same configurations, drawn at random once,
and the plain control train to the last epoch on every seed, data and training alike. Trials fork from one stage one, as
in a search: exact, and a third of the cost. `benchmarks.early_stopping` replays the curves through every rule.

FOLDER holds a table for each scenario and seed (one row for each trial and epoch, `number` -1 is the control); done
ones are kept, so that an interrupted run goes on. At the end they are merged into curves.parquet, and the
configurations into configs.parquet.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import pandas as pd

from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits
from absgd.records import EpochRecord
from absgd.training import Diverged, Trainer
from benchmarks.command_line import CORES, at_least, command_parser
from benchmarks.curves import CONTROL, RESULTS, SPACES
from tune_runs.request.space_files import load_space
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.run_configs import suggested_config

CURVES = RESULTS / "early_stopping"
COLUMNS = ("epoch", "stage", "lr", "train_loss", "val_loss", "val_accuracy", "val_balanced_accuracy")


class Table(NamedTuple):
    """A table of curves, trained or not: of one scenario and seed."""

    path: Path
    space: SearchSpace
    scenario: Scenario
    seed: int


def random_configs(space: SearchSpace, scenario: Scenario) -> list[RunConfig]:
    """The configurations of a scenario, the same for every seed; those of fewer trials are the first of more."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=space.seed))
    return [suggested_config(space, scenario, study.ask()) for _ in range(space.num_trials)]


def switch_epochs(runs: Sequence[RunConfig]) -> list[int]:
    """Of runs that all have a stage two."""
    switches = [run.attention.switch_epoch for run in runs if run.attention]
    assert len(switches) == len(runs), "every run of these spaces has a stage two"
    return switches


def train_missing(tables: Sequence[Table], processes: int) -> None:
    """Train the tables that do not lie there yet, each in a process of its own."""
    missing = [table for table in tables if not table.path.exists()]
    if not missing:
        return
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=1) as pool:
        for path in pool.imap_unordered(_train, missing):
            print(f"{path.name} trained", flush=True)


def _train(table: Table) -> Path:
    """Write a table, whole or not at all."""
    os.nice(10)
    partial = table.path.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    train_curves(table.space, table.scenario, table.seed).to_parquet(partial, index=False)
    return partial.rename(table.path)


def train_curves(space: SearchSpace, scenario: Scenario, seed: int) -> pd.DataFrame:
    """Every trial's complete curve on one seed; the epochs before its switch are those of the control."""
    seeds = {"seeds.data": seed, "seeds.train": seed}
    runs = [config.with_values(seeds) for config in random_configs(space, scenario)]
    switches = switch_epochs(runs)
    splits = load_splits(runs[0])
    plain = Trainer(runs[0].stage_one(), splits)
    snapshots: dict[int, dict[str, Any]] = {}
    control = []
    for record in plain.epochs():
        control.append(record)
        if plain.next_epoch in switches:
            snapshots[plain.next_epoch] = copy.deepcopy(plain.state_dict())
    rows = [_row(scenario, seed, CONTROL, record) for record in control]
    for number, (config, switch) in enumerate(zip(runs, switches, strict=True)):
        forked = [*control[:switch], *_fork(config, splits, snapshots[switch])]
        rows += [_row(scenario, seed, number, record) for record in forked]
    return pd.DataFrame(rows)


def _fork(config: RunConfig, splits: Splits, snapshot: dict[str, Any]) -> Iterator[EpochRecord]:
    trainer = Trainer(config, splits)
    trainer.load_state_dict(copy.deepcopy(snapshot))
    try:
        yield from trainer.epochs()
    except Diverged as error:
        print(f"diverged: {error}", flush=True)


def _row(scenario: Scenario, seed: int, number: int, record: EpochRecord) -> dict[str, Any]:
    keys = {"scenario": scenario.name, "seed": seed, "number": number}
    return {**keys, **{name: getattr(record, name) for name in COLUMNS}}


def _config_rows(space: SearchSpace, scenario: Scenario) -> Iterator[dict[str, Any]]:
    for number, config in enumerate(random_configs(space, scenario)):
        if config.attention:
            yield {"scenario": scenario.name, "number": number, **config.attention.model_dump()}


def early_stopping_spaces() -> list[SearchSpace]:
    """Those whose curves the rules of early stopping are judged on."""
    return [load_space(str(path)) for path in sorted(SPACES.glob("early_stopping_*.yaml"))]


def main() -> None:
    """Train what is missing, then merge."""
    parser = command_parser("benchmarks.train_curves", __doc__)
    parser.add_argument("--seeds", type=at_least(1), default=5)
    parser.add_argument("--jobs", type=at_least(1), default=CORES)
    parser.add_argument("--out", type=Path, default=CURVES)
    options = parser.parse_args()
    kinds = [(space, scenario) for space in early_stopping_spaces() for scenario in space.scenario_list]
    tables = [
        Table(options.out / "parts" / f"{scenario.name}-{seed}.parquet", space, scenario, seed)
        for seed in range(options.seeds)
        for space, scenario in kinds
    ]
    train_missing(tables, options.jobs)
    merged = pd.concat([pd.read_parquet(table.path) for table in tables], ignore_index=True)
    merged.to_parquet(options.out / "curves.parquet", index=False)
    rows = [row for space, scenario in kinds for row in _config_rows(space, scenario)]
    pd.DataFrame(rows).to_parquet(options.out / "configs.parquet", index=False)
    print(f"{len(merged)} rows in {options.out / 'curves.parquet'}")


if __name__ == "__main__":
    main()
