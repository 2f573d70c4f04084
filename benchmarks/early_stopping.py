"""Every rule of early stopping, replayed over complete curves: what it costs and what it loses.

    python -m benchmarks.early_stopping [--curves FOLDER] [--orders 30] [--out FOLDER] [--page FILE]

Curves are those of `benchmarks.train_curves`. Trials arrive in random orders, one or four at a time, which take turns
epoch by epoch; `tune_runs.stopping.rules` decides, the code that decides in a search. The plain way is the stronger
peer of `benchmarks.peers`: the same trials from scratch, without a control, under Ray's ASHA that counts from the
latest switch. Per rule:

- epochs: of stage two of all trials, and of the trunk, which is the plain control to its last epoch;
- fewer: how many times fewer than those of the plain way;
- regret: the best trial at the last epoch, which no stopping keeps, minus the kept one, on the seed of the search;
- true regret: the mean over the *other* seeds of what no stopping keeps, minus that of what the rule keeps; negative
  where the rule keeps a better configuration;
- below best: the best such mean of all configurations tried, minus that of the kept one;
- rank correlation of what is compared at a rung with the metric at the end, over all trials that meet the rung.

Writes replay.parquet (a row for each rule, scenario, seed, number of trials and of trials at once: means over the
orders), rungs.parquet (rank correlations) and early_stopping.json (environment), and prints tables of them; --page
replaces those tables in a page of markdown that has `<!-- NAME -->` and `<!-- /NAME -->` around each.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import scipy
from scipy.stats import spearmanr

from absgd import records
from absgd.errors import UserError
from benchmarks.command_line import CORES, at_least, command_parser, environment
from benchmarks.curves import RESULTS, Cell, Curve, read_cell
from benchmarks.peers import Clock
from benchmarks.replay import Search, kept, our_search, plain_search
from benchmarks.train_curves import CURVES, early_stopping_spaces
from tune_runs.space.model import EarlyStoppingConfig, SearchSpace, StoppingRule
from tune_runs.stopping.rules import ScenarioStopping
from tune_runs.stopping.rungs import EarlyStopping, early_stopping

OUT = RESULTS / "early_stopping"
PLAIN = "plain way"
PLAIN_CLOCK: Clock = "since_switch"
BY_AGE: tuple[StoppingRule, ...] = ("age", "advantage", "mean_advantage", "age_then_epoch")
SIZES = (32, 48)
AT_ONCE = (1, 4)
LONG_TABLE = re.compile(r"[24], from 2 \||4, from 1 \||, from 3 \|")
"""Rules that a page leaves out."""


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


def measure(cell: Cell, elsewhere: Mapping[int, float], orders: int) -> list[dict[str, Any]]:
    """Every candidate on one cell: means over the orders.

    Args:
        cell: the curves.
        elsewhere: mean of each configuration's last value over the other seeds.
        orders: random orders of arrival, the same for every candidate.
    """
    rules = {name: _with(cell.space, config) for name, config in candidates().items()}
    switches = [curve.switch for curve in cell.curves]
    rows = []
    for size, at_once in itertools.product(SIZES, AT_ONCE):
        source = random.Random(f"{cell.scenario} {cell.seed} {size} {at_once}")
        arrivals = [source.sample(cell.curves, size) for _ in range(orders)]
        plain = [plain_search(cell, order, at_once, PLAIN_CLOCK) for order in arrivals]
        keys = {"scenario": cell.scenario, "seed": cell.seed, "num_trials": size, "at_once": at_once}
        rows.append({"rule": PLAIN, **keys, **outcome(cell, arrivals, plain, plain, elsewhere)})
        for name, stopping in rules.items():
            searches = [our_search(cell, order, at_once, stopping) for order in arrivals]
            found = outcome(cell, arrivals, plain, searches, elsewhere)
            if stopping.is_modelled:
                found["expected_epochs"] = cell.space.epochs + stopping.expected_epochs(size, switches)
            rows.append({"rule": name, **keys, **found})
    return rows


def outcome(
    cell: Cell,
    arrivals: Sequence[Sequence[Curve]],
    plain: Sequence[Search],
    searches: Sequence[Search],
    elsewhere: Mapping[int, float],
) -> dict[str, float]:
    """Of searches beside the plain ones and beside no stopping: means over the orders."""
    without = [kept(cell, [curve for curve in order if cell.is_complete(curve)]) for order in arrivals]
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


def correlations(cell: Cell) -> list[dict[str, Any]]:
    """How well the values at each rung rank the trials as their ends do, when no trial is stopped."""
    latest = early_stopping(cell.space).latest_switch or 0
    curves = {str(curve.number): curve for curve in cell.curves}
    rows = []
    for name, stopping in _rungs_to_rank(cell.space):
        judge = ScenarioStopping(stopping, records.METRICS[cell.space.metric], cell.control.get)
        for number, curve in curves.items():
            for epoch, value in curve.by_epoch.items():
                judge.falls_behind(number, curve.switch, epoch, value)
        for rung, scores in judge.scores.items():
            for against, epochs in (("last", 1), ("last_three", 3)):
                ends = [cell.sign * curves[number].end(epochs) for number in scores]
                rows.append(
                    {
                        "rule": name,
                        "rung": rung.at - latest if rung.unit == "epochs" else rung.at,
                        "scenario": cell.scenario,
                        "seed": cell.seed,
                        "against": against,
                        "trials": len(scores),
                        "rank_correlation": float(spearmanr(list(scores.values()), ends).statistic),
                    }
                )
    return rows


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
    """The curves in a folder of `benchmarks.train_curves`, finished or not.

    Raises:
        UserError: if there are none, or of a scenario that no space has.
    """
    whole = folder / "curves.parquet"
    parts = [whole] if whole.exists() else sorted((folder / "parts").glob("*.parquet"))
    if not parts:
        raise UserError(
            f"expected what `python -m benchmarks.train_curves` writes, got none of it in {folder} (--curves)"
        )
    table = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
    by_scenario = {scenario.name: space for space in early_stopping_spaces() for scenario in space.scenario_list}
    if unknown := sorted(set(table.scenario) - by_scenario.keys()):
        raise UserError(f"expected scenarios {', '.join(by_scenario)}, got {', '.join(unknown)} ({folder})")
    return [
        read_cell(by_scenario[str(scenario)], str(scenario), int(str(seed)), rows)
        for (scenario, seed), rows in table.groupby(["scenario", "seed"])
    ]


def comparable(cells: Sequence[Cell]) -> list[Cell]:
    """Those whose scenario has other seeds too, which true regret needs.

    Raises:
        UserError: if there are none, or one has fewer trials than a search.
    """
    seeds = Counter(cell.scenario for cell in cells)
    found = [cell for cell in cells if seeds[cell.scenario] > 1]
    if not found:
        raise UserError("expected a scenario with curves of at least two seeds (--curves)")
    for cell in found:
        if (num_curves := len(cell.curves)) < max(SIZES):
            raise UserError(
                f"expected at least {max(SIZES)} curves, got {num_curves} (--curves: {cell.scenario}, seed {cell.seed})"
            )
    return found


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
    parser = command_parser("benchmarks.early_stopping", __doc__)
    parser.add_argument("--curves", type=Path, default=CURVES)
    parser.add_argument("--orders", type=at_least(2), default=30)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--page", type=Path, help="markdown whose tables are replaced")
    parser.add_argument("--jobs", type=at_least(1), default=CORES)
    options = parser.parse_args()
    started = time.perf_counter()
    try:
        cells = comparable(load_cells(options.curves))
        page = options.page and options.page.read_text()
        options.out.mkdir(parents=True, exist_ok=True)
    except (UserError, OSError) as error:
        parser.error(str(error))
    with ProcessPoolExecutor(options.jobs) as pool:
        others = [_elsewhere(cells, cell) for cell in cells]
        measured = [row for part in pool.map(partial(measure, orders=options.orders), cells, others) for row in part]
        ranked = [row for part in pool.map(correlations, cells) for row in part]
    rows, rungs = pd.DataFrame(measured), pd.DataFrame(ranked)
    about = {
        "cells": [[cell.scenario, cell.seed, len(cell.curves)] for cell in cells],
        "orders": options.orders,
        "seconds": round(time.perf_counter() - started, 1),
        "environment": environment(parser.prog),
        "scipy": scipy.__version__,
    }
    rows.to_parquet(options.out / "replay.parquet", index=False)
    rungs.to_parquet(options.out / "rungs.parquet", index=False)
    (options.out / "early_stopping.json").write_text(json.dumps(about, indent=1) + "\n")
    tables = {f"{size} trials": list(rule_table(rows, size)) for size in SIZES}
    tables["rank correlation"] = list(rung_table(rungs))
    if options.page:
        options.page.write_text(with_tables(page, tables))
    for name, lines in tables.items():
        print("\n".join((f"\n{name}\n", *lines)))
    print(f"\n{len(cells)} cells, {options.orders} orders each, {about['seconds']} s")


if __name__ == "__main__":
    main()
