"""From nothing to a verdict: epochs, processor time, what is chosen, and how often the verdict is right.

    python -m benchmarks.verdict_cost [--quick] [--draws 10] [--repetitions 200] [--json FILE] [--page FILE]

Three ways to search 32 configurations and to say whether the best one beats plain training and other controls:

- script: every trial from scratch under Ray's ASHA with rungs after the latest switch; then winner and six controls
  from scratch on three seeds, and a paired t-test for each control, corrected by Holm over the controls;
- before: the version before searches went over several seeds: one seed, then its best 3 and the controls on three fresh
  seeds, forked from the plain control where they equal it at first; paired t-tests, corrected by Holm over the
  scenarios for controls that must be beaten, and over all comparisons for the others;
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

import argparse
import itertools
import math
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy import stats

from absgd.comparisons import ClaimRules, PriorVariance, search_spread
from absgd.config import RunConfig
from absgd.datasets import load_splits
from absgd.errors import UserError
from absgd.records import best_name
from absgd.training import Trainer
from benchmarks.complete_curves.curve_sets import CURVE_SETS
from benchmarks.complete_curves.curve_training import random_configs
from benchmarks.complete_curves.pair_replays import (
    DEFAULT_PLAN,
    TOP_THREE,
    PairCells,
    PairCurves,
    ReplayedChoice,
    pair_cells,
    replay_plan,
)
from benchmarks.complete_curves.search_replay import kept_trial, replay_plain
from benchmarks.harness.command_line import CORES, at_least, command_parser, report_environment, write_json_report
from benchmarks.harness.marked_tables import with_tables
from tune_runs.confirmation.candidates import Candidate, with_controls
from tune_runs.confirmation.contests import Contest, contest_of, epochs_of_round
from tune_runs.confirmation.rounds import RoundRules, Rounds
from tune_runs.preview.simulated_rounds import simulated
from tune_runs.space.model import ConfirmConfig, ControlName

Way = Literal["script", "before", "now"]
WAYS: tuple[Way, ...] = get_args(Way)
NUM_TRIALS = 32
FRESH_SEEDS = 3
"""Of the two ways that fix their number."""
CONTROLS: tuple[ControlName, ...] = ("ce", "ce-lr", "cb-ce-drw", "ldam-drw", "focal", "balanced-softmax")
DECIDING = slice(0, 2)
"""Those of CONTROLS that must be beaten."""
GAPS = (0.0, 1.0, 2.0, 4.0)
"""How far all controls lie below the winner, in standard deviations of a paired difference."""
NUM_SCENARIOS = 2
"""Scenarios of a space, which share the level of claims."""
LEVEL = 0.05
POINT = 0.01


class Choice(NamedTuple):
    """A replayed search: its winner, the winner's held-out gain, and the epochs until it is known."""

    number: int
    gain: float
    epochs: int
    prior: PriorVariance | None = None


class _Verdicts(NamedTuple):
    """Simulated verdicts at one gap: the share that is right, and the mean epochs of the fresh runs."""

    right: float
    epochs: float


def searches(way: Way, cells: PairCells, draws: int) -> Iterator[Choice]:
    """Yield replayed searches: `draws` for each seed on which a search begins, the same for each way."""
    numbers = sorted(next(iter(cells.values())).by_number)
    source = random.Random(f"{next(iter(cells.values())).cell.scenario}")
    for _ in range(draws):
        for seed in cells:
            order = source.sample(numbers, NUM_TRIALS)
            further = source.sample([other for other in cells if other != seed], DEFAULT_PLAN.pairs - 1)
            yield _search(way, cells, order, (seed, *further))


def _search(way: Way, cells: PairCells, order: Sequence[int], seeds: Sequence[int]) -> Choice:
    if way == "script":
        first = cells[seeds[0]]
        plain = replay_plain(first.cell, first.curves(order), 1, "since_switch")
        number, epochs, used, prior = kept_trial(first.cell, plain.completed).number, plain.epochs, seeds[:1], None
    else:
        found = replay_plan(cells, order, seeds, TOP_THREE if way == "before" else DEFAULT_PLAN)
        number, epochs, used, prior = found.chosen, found.epochs, seeds, _prior(found)
        if way == "before":
            number = _best_on_fresh(found)
            epochs += sum(_epochs_on_fresh(cells[seed], number) for seed in seeds[found.pairs_used :])
    held_out = [cells[seed].gains_at_end[number] for seed in cells if seed not in used]
    return Choice(number, statistics.fmean(held_out), epochs, prior)


def _best_on_fresh(found: ReplayedChoice) -> int:
    """Return the best by the mean over the fresh seeds alone, as the version before chose among three."""
    if found.pairs_used == 1:
        return found.chosen
    fresh = {number: own[1:] for number, own in found.gains.items() if len(own) == found.pairs_used}
    complete = {number: own for number, own in fresh.items() if not np.isnan(own).any()} or fresh
    return max(complete, key=lambda number: statistics.fmean(complete[number]))


def _epochs_on_fresh(pair: PairCurves, number: int) -> int:
    """Return the epochs of plain control and fork on a fresh seed, on which one trial alone is confirmed."""
    return pair.cell.space.epochs + len(pair.by_number[number].by_epoch)


def _prior(found: ReplayedChoice) -> PriorVariance | None:
    gains = {
        str(number): {pair: gain for pair, gain in enumerate(own) if gain == gain}
        for number, own in found.gains.items()
    }
    return search_spread(gains, str(found.chosen))


def spread(cells: PairCells, choices: Sequence[Choice]) -> float:
    """Return the standard deviation over seeds of the gains of the configurations chosen, pooled."""
    gains = [[pair.gains_at_end[one.number] for pair in cells.values()] for one in choices]
    return math.sqrt(statistics.fmean(statistics.variance(own) for own in gains))


def contest(config: RunConfig) -> Contest:
    """Return a winner with the controls of this benchmark."""
    found = with_controls(Candidate(best_name(1), "winner", config), config.stage_one(), "scenario", CONTROLS)
    return contest_of(found.members)


def fixed_epochs(way: Way, one: Contest) -> int:
    """Return the epochs of winner and controls on the fresh seeds, where their number is fixed.

    The best three and the plain control of `before` are counted by its replayed search.
    """
    if way == "script":
        return FRESH_SEEDS * (1 + len(one.rivals)) * one.epochs
    every = (one.subject, *one.rivals)
    return FRESH_SEEDS * (epochs_of_round(one, every) - epochs_of_round(one, (one.subject, "ce")))


def fixed_verdicts(way: Way, gap: float, repetitions: int) -> float:
    """Return the share of right verdicts from paired t-tests on three seeds."""
    source = np.random.default_rng(0)
    noise_RSKP = source.normal(0, 0.5**0.5, (repetitions, NUM_SCENARIOS, 1 + len(CONTROLS), FRESH_SEEDS))
    differences_RSCP = gap + noise_RSKP[:, :, :1] - noise_RSKP[:, :, 1:]
    p_RSC = np.asarray(stats.ttest_1samp(differences_RSCP, 0.0, axis=-1).pvalue)
    is_ahead_RSC = differences_RSCP.mean(-1) > 0
    if way == "script":
        corrected_RSC = holm(p_RSC)
    else:
        over_all_RSC = holm(p_RSC.reshape(repetitions, -1)).reshape(p_RSC.shape)
        over_scenarios_RSC = np.moveaxis(holm(np.moveaxis(p_RSC, 1, 2)), 2, 1)
        must_beat_C = np.arange(len(CONTROLS)) < DECIDING.stop
        corrected_RSC = np.where(must_beat_C & is_ahead_RSC, over_scenarios_RSC, over_all_RSC)
    found_RSC = corrected_RSC < LEVEL
    if gap == 0:
        return float((~found_RSC.any(-1)).mean())
    is_right_RS = (found_RSC & is_ahead_RSC)[..., DECIDING].all(-1) & ~(found_RSC & ~is_ahead_RSC).any(-1)
    return float(is_right_RS.mean())


def holm(p_values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Correct p-values along the last axis."""
    order = p_values.argsort(-1)
    num = p_values.shape[-1]
    steps = np.maximum.accumulate(np.take_along_axis(p_values, order, -1) * np.arange(num, 0, -1), -1)
    corrected = np.empty_like(steps)
    np.put_along_axis(corrected, order, np.minimum(steps, 1), -1)
    return corrected


def sequential_verdicts(
    configs: Sequence[RunConfig], choices: Sequence[Choice], std: float, gap: float, repetitions: int
) -> _Verdicts:
    """Simulate confirmations pair by pair; the winners of the searches take turns."""
    config = ConfirmConfig()
    claims = ClaimRules(config.margin * POINT, LEVEL, NUM_SCENARIOS)
    source = random.Random(0)
    contests = {one.number: contest(configs[one.number]) for one in choices}
    ended = []
    for repetition in range(repetitions):
        choice = choices[repetition % len(choices)]
        rules = RoundRules(claims, config.max_pairs, None, choice.prior)
        gaps = dict.fromkeys(contests[choice.number].rivals, gap)
        rounds = simulated(contests[choice.number], rules, gaps, std, source)
        ended.append((_is_right(rounds, contests[choice.number], gap, std), rounds.epochs))
    return _Verdicts(statistics.fmean(right for right, _ in ended), statistics.fmean(epochs for _, epochs in ended))


def _is_right(rounds: Rounds, one: Contest, gap: float, std: float) -> bool:
    findings = {rival: look.comparison.finding for rival, look in rounds.last().items()}
    wrong = {"better", "worse"} if gap == 0 else {"worse"}
    if gap * std > ConfirmConfig().margin * POINT:
        wrong.add("equivalent")
    if wrong & set(findings.values()):
        return False
    return gap == 0 or all(findings.get(rival) == "better" for rival in one.deciding)


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
                verdicts = _Verdicts(fixed_verdicts(way, gap, 20 * repetitions), fresh)
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


def cost_table(rows: pd.DataFrame) -> Iterator[str]:
    """Format the ways of each scenario: epochs and right verdicts at each gap."""
    gaps = " / ".join(f"{gap:g}" for gap in GAPS)
    yield f"| scenario | way | gain, points | search | search and verdict, epochs at {gaps} sd | CPU minutes | right |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for (scenario, way), own in rows.groupby(["scenario", "way"], sort=False):
        one = own.iloc[0]
        yield (
            f"| {scenario} | {way} | {100 * one.gain:.2f} ± {100 * one.gain_error:.2f} | {one.search_epochs:.0f} "
            f"| {_listed(own.epochs, '.0f')} | {_listed(own.processor_s / 60, '.1f')} | {_listed(own.right, '.2f')} |"
        )


def summary_table(rows: pd.DataFrame) -> Iterator[str]:
    """Format means over the scenarios; epochs as shares of the script's."""
    script = rows[rows.way == "script"].set_index(["scenario", "gap"]).epochs
    gaps = " / ".join(f"{gap:g}" for gap in GAPS)
    yield f"| way | gain, points | epochs of the script's, at {gaps} sd | right at {gaps} sd |"
    yield "|---|---:|---:|---:|"
    for way, own in rows.groupby("way", sort=False):
        share = (own.set_index(["scenario", "gap"]).epochs / script).groupby("gap").mean()
        yield (
            f"| {way} | {100 * own.gain.mean():.2f} | {_listed(share, '.2f')} "
            f"| {_listed(own.groupby('gap').right.mean(), '.2f')} |"
        )


def _listed(values: pd.Series[Any], form: str) -> str:
    return " / ".join(format(value, form) for value in values)


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
    write_report(options, parser.prog, rows)


def write_report(options: argparse.Namespace, program: str, rows: pd.DataFrame) -> None:
    """Write the rows with versions and hardware where `--json` asks for them."""
    report: Mapping[str, Any] = {**report_environment(program), "rows": rows.round(5).to_dict("records")}
    write_json_report(options.json, report, indent=1)


if __name__ == "__main__":
    main()
