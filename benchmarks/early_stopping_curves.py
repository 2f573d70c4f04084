"""Complete curves of many configurations over several seeds: what rules of early stopping are judged on.

    python benchmarks/early_stopping_curves.py [--seeds 5] [--jobs 2] [--out FOLDER]

For each scenario of the spaces in benchmarks/early_stopping/ the same configurations, drawn at random once, and the
plain control train to the last epoch on every seed, data and training alike. Trials fork from one stage one, as in a
search: exact, and a third of the cost. `benchmarks/early_stopping.py` replays the curves through every rule.

FOLDER holds a table for each scenario and seed (one row for each trial and epoch, `number` -1 is the control); done
ones are kept, so that an interrupted run goes on. At the end they are merged into curves.parquet, and the
configurations into configs.parquet.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits
from absgd.records import EpochRecord
from absgd.training import Diverged, Trainer
from tune_runs.draws import suggest
from tune_runs.space import Scenario, SearchSpace
from tune_runs.space_files import load_space

SPACES = Path(__file__).parent / "early_stopping"
RESULTS = Path(__file__).parent / "results" / "early_stopping"
CONTROL = -1
COLUMNS = ("epoch", "stage", "lr", "train_loss", "val_loss", "val_accuracy", "val_balanced_accuracy")


def configs(space: SearchSpace, scenario: Scenario) -> list[RunConfig]:
    """The configurations of a scenario, the same for every seed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=space.seed))
    return [suggest(space, scenario, study.ask()) for _ in range(space.num_trials)]


def curves(space: SearchSpace, scenario: Scenario, seed: int) -> pd.DataFrame:
    """Every trial's complete curve on one seed; the epochs before its switch are those of the control."""
    seeds = {"seeds.data": seed, "seeds.train": seed}
    runs = [config.with_values(seeds) for config in configs(space, scenario)]
    splits = load_splits(runs[0])
    switches = {config.attention.switch_epoch for config in runs if config.attention}
    plain = Trainer(runs[0].stage_one(), splits)
    snapshots: dict[int, dict[str, Any]] = {}
    control = []
    for record in plain.epochs():
        control.append(record)
        if plain.next_epoch in switches:
            snapshots[plain.next_epoch] = copy.deepcopy(plain.state_dict())
    rows = [_row(scenario, seed, CONTROL, record) for record in control]
    for number, config in enumerate(runs):
        assert config.attention is not None
        switch = config.attention.switch_epoch
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


def _work(job: tuple[str, int, int, Path]) -> None:
    space_file, index, seed, path = job
    os.nice(10)
    space = load_space(space_file)
    table = curves(space, space.scenario_list[index], seed)
    partial = path.with_suffix(".partial")
    table.to_parquet(partial)
    partial.rename(path)
    print(f"{path.name} done", flush=True)


def _config_rows(space: SearchSpace, scenario: Scenario) -> Iterator[dict[str, Any]]:
    for number, config in enumerate(configs(space, scenario)):
        assert config.attention is not None
        yield {"scenario": scenario.name, "number": number, **config.attention.model_dump()}


def main() -> None:
    """Train what is missing, then merge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    parts = options.out / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    spaces = {str(path): load_space(str(path)) for path in sorted(SPACES.glob("*.yaml"))}
    jobs = [
        (file, scenario.index, seed, parts / f"{scenario.name}-{seed}.parquet")
        for seed in range(options.seeds)
        for file, space in spaces.items()
        for scenario in space.scenario_list
    ]
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=1) as pool:
        for _ in pool.imap_unordered(_work, [job for job in jobs if not job[3].exists()]):
            pass
    table = pd.concat([pd.read_parquet(job[3]) for job in jobs], ignore_index=True)
    table.to_parquet(options.out / "curves.parquet", index=False)
    rows = [
        row for space in spaces.values() for scenario in space.scenario_list for row in _config_rows(space, scenario)
    ]
    pd.DataFrame(rows).to_parquet(options.out / "configs.parquet", index=False)
    print(f"{len(table)} rows in {options.out / 'curves.parquet'}")


if __name__ == "__main__":
    main()
