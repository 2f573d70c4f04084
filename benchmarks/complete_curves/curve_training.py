"""Complete curves of random configurations, trained from one stage one for each scenario and seed."""

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
from benchmarks.complete_curves.curve_tables import CONTROL
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.run_configs import suggested_config

COLUMNS = ("epoch", "stage", "lr", "train_loss", "val_loss", "val_accuracy", "val_balanced_accuracy")


class CurveTable(NamedTuple):
    """A table of curves of one scenario and seed, trained or still missing."""

    path: Path
    space: SearchSpace
    scenario: Scenario
    seed: int


def random_configs(space: SearchSpace, scenario: Scenario) -> list[RunConfig]:
    """Return random configurations of a scenario, the same for every seed; fewer trials get the first of more."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=space.seed))
    return [suggested_config(space, scenario, study.ask()) for _ in range(space.num_trials)]


def switch_epochs(runs: Sequence[RunConfig]) -> list[int]:
    """Return the switch epochs of runs that all have a stage two."""
    switches = [run.attention.switch_epoch for run in runs if run.attention]
    assert len(switches) == len(runs), "every run of these spaces has a stage two"
    return switches


def train_missing(tables: Sequence[CurveTable], processes: int) -> None:
    """Train the tables whose files do not exist yet, each in its own process."""
    missing = [table for table in tables if not table.path.exists()]
    if not missing:
        return
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=1) as pool:
        for path in pool.imap_unordered(_train, missing):
            print(f"{path.name} trained", flush=True)


def _train(table: CurveTable) -> Path:
    """Train a table and write it atomically."""
    os.nice(10)
    partial = table.path.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    train_curves(table.space, table.scenario, table.seed).to_parquet(partial, index=False)
    return partial.rename(table.path)


def train_curves(space: SearchSpace, scenario: Scenario, seed: int) -> pd.DataFrame:
    """Train every trial's complete curve on one seed; the epochs before its switch are those of the control."""
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
