"""Every rule of early stopping, replayed over complete curves: what it costs and what it loses.

    python benchmarks/early_stopping.py [--curves FOLDER] [--orders 30] [--out FOLDER]

Curves are those of `benchmarks/early_stopping_curves.py`. Trials arrive in random orders, one or four at a time, which
take turns epoch by epoch; `tune_runs.stopping_rules` decides, the code that decides in a search. The plain way is the
same trials from scratch, without a control, under Ray's ASHA with rungs after the latest switch. Per rule:

- epochs: of stage two of all trials, and of the trunk, which is the plain control to its last epoch;
- regret: the best trial at the last epoch, which no stopping keeps, minus the kept one, on the seed of the search;
- true regret: the mean over the *other* seeds of what no stopping keeps, minus that of what the rule keeps; negative
  where the rule keeps a better configuration;
- below best: the best such mean of all configurations tried, minus that of the kept one;
- rank correlation of what is compared at a rung with the metric at the end, over all trials that meet the rung.

Writes replay.parquet (a row for each rule, scenario, seed, number of trials and of trials at once: means over the
orders), rungs.parquet (rank correlations) and early_stopping.json (environment), and prints tables of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import random
import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import scipy
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from scipy.stats import spearmanr

from absgd import records
from absgd.environment import describe_environment
from tune_runs.early_stopping import EarlyStopping, early_stopping
from tune_runs.space import EarlyStoppingConfig, SearchSpace, StoppingRule
from tune_runs.space_files import load_space
from tune_runs.stopping_rules import ScenarioStopping

HERE = Path(__file__).parent
SPACES = HERE / "early_stopping"
RESULTS = HERE / "results" / "early_stopping"
CONTROL = -1
BY_AGE: tuple[StoppingRule, ...] = ("age", "advantage", "mean_advantage", "age_then_epoch")
SIZES = (32, 48)
AT_ONCE = (1, 4)
LONG_TABLE = re.compile(r"[24], from 2 \||4, from 1 \||, from 3 \|")
PLAIN = "plain way"
PLAIN_FACTOR = 3


@dataclasses.dataclass(frozen=True)
class Curve:
    """What a trial would measure if nothing stopped it."""

    number: int
    switch: int
    by_epoch: Mapping[int, float]
    """The metric from the switch on."""
    val_loss: float
    """At the last epoch."""

    def end(self, epochs: int = 1) -> float:
        """Mean of the last epochs."""
        return statistics.fmean(list(self.by_epoch.values())[-epochs:])


@dataclasses.dataclass(frozen=True)
class Cell:
    """All curves of a scenario on one seed."""

    space: SearchSpace
    scenario: str
    seed: int
    control: Mapping[int, float]
    curves: tuple[Curve, ...]

    @property
    def sign(self) -> float:
        return 1.0 if records.METRICS[self.space.metric] == "max" else -1.0


@dataclasses.dataclass(frozen=True)
class Search:
    """What a search came to."""

    epochs: int
    """Of stage two, of all trials."""
    completed: tuple[Curve, ...]


def candidates() -> dict[str, EarlyStoppingConfig | None]:
    """Name -> early stopping."""
    every: dict[str, EarlyStoppingConfig | None] = {"none": None}
    for grace in (1, 2, 3):
        every[f"median, from {grace}"] = EarlyStoppingConfig(rule="median", grace_period=grace)
    for factor in (2, 3, 4):
        every[f"epoch, {factor}"] = EarlyStoppingConfig(rule="epoch", reduction_factor=factor)
        for rule in BY_AGE:
            for grace in (1, 2, 3):
                config = EarlyStoppingConfig(rule=rule, reduction_factor=factor, grace_period=grace)
                every[f"{rule}, {factor}, from {grace}"] = config
    return every


def replay(cell: Cell, order: Sequence[Curve], at_once: int, stopping: EarlyStopping) -> Search:
    """A search over curves: trials take turns, one epoch each, as many at once as given."""
    judge = ScenarioStopping(stopping, records.METRICS[cell.space.metric], cell.control.get)

    def is_behind(curve: Curve, epoch: int) -> bool:
        return judge.falls_behind(str(curve.number), curve.switch, epoch, curve.by_epoch[epoch])

    return _take_turns(order, at_once, is_behind)


def _take_turns(order: Sequence[Curve], at_once: int, is_behind: Any) -> Search:
    arriving, live = iter(order), list[tuple[Curve, Iterator[int]]]()
    epochs, completed = 0, list[Curve]()
    while True:
        for curve in arriving if len(live) < at_once else ():
            live.append((curve, iter(curve.by_epoch)))
            if len(live) == at_once:
                break
        if not live:
            return Search(epochs, tuple(completed))
        for turn in tuple(live):
            curve, left = turn
            epoch = next(left)
            epochs += 1
            is_last = epoch == max(curve.by_epoch)
            if is_last:
                completed.append(curve)
            if is_behind(curve, epoch) or is_last:
                live.remove(turn)


def plain_way(cell: Cell, order: Sequence[Curve], at_once: int) -> Search:
    """The same trials from scratch, under Ray's ASHA with rungs after the latest switch."""
    latest = early_stopping(cell.space).latest_switch
    assert latest is not None
    asha = ASHAScheduler(
        time_attr="since_latest",
        metric="value",
        mode=records.METRICS[cell.space.metric],
        grace_period=1,
        max_t=cell.space.epochs + 1 - latest,
        reduction_factor=PLAIN_FACTOR,
    )
    trials = {curve.number: SimpleNamespace(trial_id=curve.number) for curve in order}
    for trial in trials.values():
        asha.on_trial_add(None, trial)

    def is_behind(curve: Curve, epoch: int) -> bool:
        if epoch < latest:
            return False
        result = {"since_latest": epoch + 1 - latest, "value": curve.by_epoch[epoch]}
        return bool(asha.on_trial_result(None, trials[curve.number], result) == TrialScheduler.STOP)

    search = _take_turns(order, at_once, is_behind)
    return Search(search.epochs + sum(curve.switch for curve in order), search.completed)


def kept(cell: Cell, completed: Sequence[Curve]) -> Curve:
    """The trial that a search keeps: the best at the last epoch, as `Recorder.best` does."""
    return max(completed, key=lambda curve: (cell.sign * curve.end(), -curve.val_loss))


def measure(cell: Cell, elsewhere: Mapping[int, float], orders: int) -> list[dict[str, Any]]:
    """Every candidate on one cell: means over the orders.

    Args:
        cell: the curves.
        elsewhere: mean of each configuration's last value over the other seeds.
        orders: random orders of arrival, the same for every candidate.
    """
    rules = {name: _with(cell.space, config) for name, config in candidates().items()}
    complete = [curve for curve in cell.curves if max(curve.by_epoch) == cell.space.epochs - 1]
    switches = [curve.switch for curve in complete]
    rows = []
    for size, at_once in itertools.product(SIZES, AT_ONCE):
        source = random.Random(f"{cell.scenario} {cell.seed} {size} {at_once}")
        arrivals = [source.sample(complete, size) for _ in range(orders)]
        plain = [plain_way(cell, order, at_once) for order in arrivals]
        keys = {"scenario": cell.scenario, "seed": cell.seed, "num_trials": size, "at_once": at_once}
        rows.append({"rule": PLAIN, **keys, **_outcome(cell, arrivals, plain, plain, elsewhere)})
        for name, stopping in rules.items():
            searches = [replay(cell, order, at_once, stopping) for order in arrivals]
            searches = [dataclasses.replace(one, epochs=one.epochs + cell.space.epochs) for one in searches]
            expected = cell.space.epochs + stopping.expected_epochs(size, switches)
            outcome = _outcome(cell, arrivals, plain, searches, elsewhere)
            rows.append({"rule": name, **keys, **outcome, "expected_epochs": expected})
    return rows


def _outcome(
    cell: Cell,
    arrivals: Sequence[Sequence[Curve]],
    plain: Sequence[Search],
    searches: Sequence[Search],
    elsewhere: Mapping[int, float],
) -> dict[str, float]:
    """Means over the orders."""
    without = [kept(cell, order) for order in arrivals]
    ours = [kept(cell, search.completed) for search in searches]
    best = [max(cell.sign * elsewhere[curve.number] for curve in order) for order in arrivals]
    regrets = [cell.sign * (one.end() - our.end()) for one, our in zip(without, ours, strict=True)]
    true = [cell.sign * (elsewhere[a.number] - elsewhere[b.number]) for a, b in zip(without, ours, strict=True)]
    return {
        "epochs": statistics.fmean(search.epochs for search in searches),
        "fewer": statistics.fmean(a.epochs / b.epochs for a, b in zip(plain, searches, strict=True)),
        "completed": statistics.fmean(len(search.completed) for search in searches),
        "regret": statistics.fmean(regrets),
        "regret_p90": statistics.quantiles(regrets, n=10)[-1],
        "true_regret": statistics.fmean(true),
        "below_best": statistics.fmean(
            one - cell.sign * elsewhere[our.number] for one, our in zip(best, ours, strict=True)
        ),
    }


def correlations(cell: Cell) -> Iterator[dict[str, Any]]:
    """How well the values at each rung rank the trials as their ends do, when no trial is stopped."""
    latest = early_stopping(cell.space).latest_switch or 0
    curves = {str(curve.number): curve for curve in cell.curves}
    for name, stopping in _rungs_to_rank(cell.space):
        judge = ScenarioStopping(stopping, records.METRICS[cell.space.metric], cell.control.get)
        for number, curve in curves.items():
            for epoch, value in curve.by_epoch.items():
                judge.falls_behind(number, curve.switch, epoch, value)
        for rung, scores in judge.scores.items():
            for against, epochs in (("last", 1), ("last_three", 3)):
                ends = [cell.sign * curves[number].end(epochs) for number in scores]
                yield {
                    "rule": name,
                    "rung": rung.at - latest if rung.unit == "epochs" else rung.at,
                    "scenario": cell.scenario,
                    "seed": cell.seed,
                    "against": against,
                    "trials": len(scores),
                    "rank_correlation": float(spearmanr(list(scores.values()), ends).statistic),
                }


def _list_of_correlations(cell: Cell) -> list[dict[str, Any]]:
    return list(correlations(cell))


def _rungs_to_rank(space: SearchSpace) -> Iterator[tuple[str, EarlyStopping]]:
    """Rungs at 1, 2, 4, ... and 3, 6, 12, ... epochs; by epoch they count from the latest switch."""
    yield "epoch", _with(space, EarlyStoppingConfig(rule="epoch", reduction_factor=2))
    for grace in (1, 3):
        stopping = _with(space, EarlyStoppingConfig(rule="age", reduction_factor=2, grace_period=grace))
        for rule in BY_AGE:
            name = "age_then_epoch, by age" if rule == "age_then_epoch" else rule
            yield name, dataclasses.replace(stopping, rule=rule)


def _with(space: SearchSpace, config: EarlyStoppingConfig | None) -> EarlyStopping:
    return early_stopping(space.model_copy(update={"early_stopping": config}))


def load_cells(folder: Path) -> list[Cell]:
    """The curves of a folder of `early_stopping_curves.py`, finished or not."""
    whole = folder / "curves.parquet"
    parts = [whole] if whole.exists() else sorted((folder / "parts").glob("*.parquet"))
    table = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    spaces = [load_space(str(path)) for path in sorted(SPACES.glob("*.yaml"))]
    by_scenario = {scenario.name: space for space in spaces for scenario in space.scenario_list}
    return [
        _cell(by_scenario[str(scenario)], str(scenario), int(str(seed)), rows)
        for (scenario, seed), rows in table.groupby(["scenario", "seed"])
    ]


def _cell(space: SearchSpace, scenario: str, seed: int, rows: pd.DataFrame) -> Cell:
    plain = rows[rows.number == CONTROL]
    control = dict(zip(plain.epoch.tolist(), plain[space.metric].tolist(), strict=True))
    curves = []
    for number, own in rows[rows.number != CONTROL].groupby("number"):
        second = own[own.stage == 2].sort_values("epoch")
        values = dict(zip(second.epoch.tolist(), second[space.metric].tolist(), strict=True))
        curves.append(Curve(int(str(number)), min(values), values, float(second.val_loss.iloc[-1])))
    return Cell(space, scenario, seed, control, tuple(curves))


def _elsewhere(cells: Sequence[Cell], cell: Cell) -> dict[int, float]:
    """Mean of each configuration's last value over the other seeds; a diverged run counts with its last one."""
    others = [other for other in cells if other.scenario == cell.scenario and other.seed != cell.seed]
    finals = [{curve.number: curve.end() for curve in other.curves} for other in others]
    return {curve.number: statistics.fmean(final[curve.number] for final in finals) for curve in cell.curves}


def rule_table(rows: pd.DataFrame, num_trials: int) -> Iterator[str]:
    """Markdown: rules by cost; means over scenarios, and the spread over seeds."""
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
    """Markdown: rank correlations at the rungs of every scenario; means over scenarios, and the spread over seeds."""
    yield "| rule | rung | with the last epoch | with the mean of the last three |"
    yield "|---|---:|---:|---:|"
    for (rule, rung), part in rungs.groupby(["rule", "rung"]):
        if part.scenario.nunique() == rungs.scenario.nunique():
            by_seed = part.pivot_table("rank_correlation", "seed", "against")
            shown = [f"{by_seed[key].mean():.2f} ± {by_seed[key].std():.2f}" for key in ("last", "last_three")]
            yield f"| {' | '.join((str(rule), str(rung), *shown))} |"


def with_tables(page: str, tables: Mapping[str, Sequence[str]]) -> str:
    """A page with new tables between `<!-- NAME -->` and `<!-- /NAME -->`, without the rules that LONG_TABLE has."""
    for name, lines in tables.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, found, rest = page.partition(start)
        if found:
            shown = [line for line in lines if not LONG_TABLE.search(line)]
            page = before + start + "\n".join(shown) + "\n" + end + rest.partition(end)[2]
    return page


def main() -> None:
    """Replay, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=RESULTS)
    parser.add_argument("--orders", type=int, default=30)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument(
        "--page", type=Path, help="markdown in which the tables between `<!-- NAME -->` lines are replaced"
    )
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    started = time.perf_counter()
    cells = load_cells(options.curves)
    cells = [cell for cell in cells if any(o.scenario == cell.scenario and o.seed != cell.seed for o in cells)]
    options.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.jobs) as pool:
        others = [_elsewhere(cells, cell) for cell in cells]
        measured = [row for part in pool.map(partial(measure, orders=options.orders), cells, others) for row in part]
        ranked = [row for part in pool.map(_list_of_correlations, cells) for row in part]
    rows, rungs = pd.DataFrame(measured), pd.DataFrame(ranked)
    rows.to_parquet(options.out / "replay.parquet", index=False)
    rungs.to_parquet(options.out / "rungs.parquet", index=False)
    about = {
        "cells": [[cell.scenario, cell.seed, len(cell.curves)] for cell in cells],
        "orders": options.orders,
        "seconds": round(time.perf_counter() - started, 1),
        "environment": describe_environment([]),
        "scipy": scipy.__version__,
    }
    (options.out / "early_stopping.json").write_text(json.dumps(about, indent=1) + "\n")
    found = {f"{size} trials": list(rule_table(rows, size)) for size in SIZES}
    found["rank correlation"] = list(rung_table(rungs))
    if options.page:
        options.page.write_text(with_tables(options.page.read_text(), found))
    for name, lines in found.items():
        print("\n".join((f"\n{name}\n", *lines)))
    print(f"\n{len(cells)} cells, {options.orders} orders each, {about['seconds']} s")


if __name__ == "__main__":
    main()
