"""Epochs and regret of a search counted by replay, for numbers of trials that would take too long to train every time.

    python benchmarks/search_cost_count.py [--trials 8 32 128] [--seeds 3] [--orders 30] [--jobs 2] [--curves FOLDER]

Complete curves of 128 configurations are trained once for each seed, data and training alike, forked from one stage
one; FOLDER keeps them, so that an interrupted run goes on. Then searches of some of the configurations in random order
are replayed, two trials at a time: a plain one under Ray's own ASHA, ours under `tune_runs.stopping_rules`, the code
that decides in a search, with the default rule.

- plain epochs: of every trial from scratch; with stopping ASHA with factor 3 on the epoch, whose first rung is one
  epoch after the latest switch, so that the next, three times as far, lies behind the end;
- ours: of the plain control once, and of every trial from its switch on;
- against a clock: how many times fewer than a plain search whose ASHA counts from the latest switch, so that it has
  rungs 1, 3 and 9 epochs after it;
- regret: the best value at the last epoch without stopping minus that of the trial kept, in points; mean and spread
  over all orders and seeds, and the mean of each seed.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from early_stopping import Cell, Curve, Search, kept, plain_way, replay
from early_stopping_curves import CONTROL, configs, curves

from absgd.records import METRICS
from tune_runs.draws import suggested
from tune_runs.early_stopping import early_stopping
from tune_runs.space import EarlyStoppingConfig, SearchSpace
from tune_runs.space_files import load_space, with_options

SPACES = Path(__file__).parent / "search_cost"
CURVES = Path(__file__).parent / "results" / "search_cost"
SWITCHES = ("range", "fixed")
LARGEST = 128
PLAIN_FACTOR = 3
AT_ONCE = 2


def space_of(name: str, num_trials: int, num_scenarios: int = 1, is_stopping: bool = False) -> SearchSpace:
    """A space of `benchmarks/search_cost`, whose trials are the first of one list of random configurations."""
    options = {
        "num_trials": num_trials,
        "early_stopping": EarlyStoppingConfig().model_dump(mode="json") if is_stopping else None,
    }
    space = load_space(str(SPACES / f"{name}.yaml"))
    scenarios = [scenario.model_dump(mode="json") for scenario in space.scenarios[:num_scenarios]]
    space = with_options(space, {**options, "scenarios": scenarios})
    first = space.scenario_list[0]
    points = [suggested(space, first, config) for config in configs(space, first)]
    return with_options(space, {"enqueue": points})


def first_rung(space: SearchSpace) -> int:
    """Of the plain search, in epochs done: one more than the latest switch."""
    latest = early_stopping(space).latest_switch
    assert latest is not None, "these spaces have a stage two"
    return latest + 1


def plain_search(cell: Cell, order: Sequence[Curve]) -> Search:
    """The trials from scratch under Ray's ASHA; `epochs` are those of both stages.

    One trial after another: at rungs this late, trials that run side by side arrive in the same order.
    """
    # Ray's `Trial` is used for its id alone.
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler

    asha = ASHAScheduler(
        time_attr="epochs_done",
        metric="value",
        mode=METRICS[cell.space.metric],
        max_t=cell.space.epochs,
        grace_period=first_rung(cell.space),
        reduction_factor=PLAIN_FACTOR,
    )
    epochs, completed = 0, []
    for curve in order:
        trial = SimpleNamespace(trial_id=str(curve.number))
        asha.on_trial_add(None, trial)
        done = curve.switch
        for epoch, value in curve.by_epoch.items():
            done = epoch + 1
            if asha.on_trial_result(None, trial, {"epochs_done": done, "value": value}) == TrialScheduler.STOP:
                break
        epochs += done
        if done == cell.space.epochs:
            completed.append(curve)
    return Search(epochs, tuple(completed))


def count(cell: Cell, num_trials: int, orders: int) -> list[dict[str, Any]]:
    """Epochs and regret of searches of `num_trials` configurations: a row for each random choice and order of them."""
    stopping = early_stopping(cell.space)
    source = random.Random(f"{cell.space.name} {cell.seed} {num_trials}")
    rows = []
    for order in (source.sample(cell.curves, num_trials) for _ in range(orders)):
        plain, ours = plain_search(cell, order), replay(cell, order, AT_ONCE, stopping)
        best = kept(cell, _complete(cell, order)).end()
        rows.append(
            {
                "switch": cell.space.name,
                "num_trials": num_trials,
                "seed": cell.seed,
                "plain": num_trials * cell.space.epochs,
                "ours": cell.space.epochs + sum(len(curve.by_epoch) for curve in order),
                "plain_stopping": plain.epochs,
                "ours_stopping": cell.space.epochs + ours.epochs,
                "clock_stopping": plain_way(cell, order, AT_ONCE).epochs,
                "regret": 100 * cell.sign * (best - kept(cell, _complete(cell, ours.completed)).end()),
                "plain_regret": 100 * cell.sign * (best - kept(cell, plain.completed).end()),
            }
        )
    return rows


def _complete(cell: Cell, completed: Sequence[Curve]) -> list[Curve]:
    """Without those that diverged."""
    return [curve for curve in completed if max(curve.by_epoch) == cell.space.epochs - 1]


@dataclasses.dataclass(frozen=True)
class Counted:
    """What searches of one kind came to: means over orders and seeds, and their spread over all of them."""

    switch: str
    num_trials: int
    is_stopping: bool
    plain_epochs: float
    epochs: float
    fewer: float
    """Mean of plain epochs over ours."""
    fewer_std: float
    fewer_than_clock: float | None
    """Against ASHA that counts from the latest switch; None without stopping."""
    regret: float
    """Points."""
    regret_std: float
    regret_by_seed: tuple[float, ...]
    plain_regret: float
    searches: int


def summaries(rows: pd.DataFrame) -> Iterator[Counted]:
    """Of `count`'s rows."""
    for (switch, num_trials), part in rows.groupby(["switch", "num_trials"]):
        for is_stopping in (False, True):
            kind = "_stopping" if is_stopping else ""
            plain, ours = part[f"plain{kind}"], part[f"ours{kind}"]
            regret = part.regret if is_stopping else 0 * part.regret
            yield Counted(
                switch=str(switch),
                num_trials=int(str(num_trials)),
                is_stopping=is_stopping,
                plain_epochs=plain.mean(),
                epochs=ours.mean(),
                fewer=(plain / ours).mean(),
                fewer_std=(plain / ours).std(),
                fewer_than_clock=(part.clock_stopping / ours).mean() if is_stopping else None,
                regret=regret.mean(),
                regret_std=regret.std(),
                regret_by_seed=tuple(regret.groupby(part.seed).mean()),
                plain_regret=part.plain_regret.mean() if is_stopping else 0.0,
                searches=len(part),
            )


def table(counted: Sequence[Counted]) -> Iterator[str]:
    """Markdown."""
    yield (
        "| trials | switch | stopping | plain epochs | ours | fewer | against a clock "
        "| regret | of each seed | regret of ASHA |"
    )
    yield "|---:|---|---|---:|---:|---:|---:|---:|---|---:|"
    for one in sorted(counted, key=lambda one: (one.is_stopping, one.num_trials, one.switch)):
        cells = [
            str(one.num_trials),
            one.switch,
            "on" if one.is_stopping else "off",
            f"{one.plain_epochs:.0f}",
            f"{one.epochs:.0f}",
            f"{one.fewer:.2f} ± {one.fewer_std:.2f}",
            "" if one.fewer_than_clock is None else f"{one.fewer_than_clock:.2f}",
            f"{one.regret:.2f} ± {one.regret_std:.2f}",
            ", ".join(f"{value:.2f}" for value in one.regret_by_seed),
            f"{one.plain_regret:.2f}",
        ]
        yield f"| {' | '.join(cells)} |"


def load_cells(folder: Path, seeds: Sequence[int], num_configs: int, jobs: int) -> list[Cell]:
    """The complete curves, trained where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {(name, seed): folder / f"{name}-{num_configs}-{seed}.parquet" for seed in seeds for name in SWITCHES}
    missing = [(name, seed, num_configs, path) for (name, seed), path in paths.items() if not path.exists()]
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=1) as pool:
        for name in pool.imap_unordered(_train, missing):
            print(f"{name} trained", flush=True)
    return [
        cell_of(space_of(name, num_configs, is_stopping=True), seed, pd.read_parquet(path))
        for (name, seed), path in paths.items()
    ]


def _train(job: tuple[str, int, int, Path]) -> str:
    name, seed, num_configs, path = job
    space = space_of(name, num_configs)
    rows = curves(space, space.scenario_list[0], seed)
    partial = path.with_suffix(".partial")
    rows[(rows.number == CONTROL) | (rows.stage == 2)].to_parquet(partial, index=False)
    partial.rename(path)
    return path.name


def cell_of(space: SearchSpace, seed: int, rows: pd.DataFrame) -> Cell:
    """The curves of a table, whose rows before the switch are the control's alone."""
    by_number: Mapping[int, pd.DataFrame] = {int(str(number)): own for number, own in rows.groupby("number")}
    values = {
        number: dict(zip(own.epoch.tolist(), own[space.metric].tolist(), strict=True))
        for number, own in by_number.items()
    }
    control = values.pop(CONTROL)
    trials = [
        Curve(number, min(own), own, float(by_number[number].val_loss.iloc[-1])) for number, own in values.items()
    ]
    return Cell(space, space.scenario_list[0].name, seed, control, tuple(trials))


def counted(sizes: Sequence[int], seeds: int, orders: int, folder: Path, jobs: int) -> list[Counted]:
    """Train what is missing, then replay."""
    cells = load_cells(folder, range(seeds), max(sizes), jobs)
    return list(summaries(pd.DataFrame([row for cell in cells for size in sizes for row in count(cell, size, orders)])))


def main() -> None:
    """Train what is missing, replay and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[8, 32, LARGEST])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--orders", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--curves", type=Path, default=CURVES)
    options = parser.parse_args()
    found = counted(options.trials, options.seeds, options.orders, options.curves, options.jobs)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
