"""Does a search gain from trying first what did well in a neighbouring scenario, such as another ratio of one data set?

    python -m benchmarks.point_transfer [--draws 100] [--searches 40] [--json FILE] [--page FILE]

Two scenarios with the same data and the same configurations are searched. One takes the best points of the other one:
as its first points, which needs the other search to have ended; or when half of the trials of both are done, which is
all that is possible where scenarios are searched side by side, as they are now. Both searches stop early by default and
use three pairs of seeds. The gain is that of the chosen configuration over the plain control on a seed that the search
does not use.

- random draws: trials are drawn from the trained configurations, and their complete curves are replayed; in narrow
  ranges, from those in which few trials collapse;
- Optuna's sampler: over random forests fitted to these curves, without early stopping;
- known: both searches first try the authors' points, as the shipped spaces do; of the trained configurations the two
  nearest stand for them;
- random, worst: points of the neighbour that say nothing, and those that mislead most.

Per way: the mean difference of the gain to that of the same draw without points, in points, ± its standard error over
draws (the four seeds and the configurations are the same throughout), in brackets quartiles and median; and the epochs
over those without points. The last tables set the epochs of each way beside those at which searches without points have
its mean gain, interpolated over their numbers of trials; `beyond`: none of them has it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import pandas as pd

from absgd.errors import UserError
from benchmarks.complete_curves.curve_sets import NEIGHBOURS, CurveSet
from benchmarks.complete_curves.pair_replays import PairCells, pair_cells
from benchmarks.complete_curves.surrogate_scenario import SurrogateScenario
from benchmarks.harness.command_line import CORES, at_least, command_parser, report_environment, write_json_report
from benchmarks.harness.marked_tables import with_tables
from benchmarks.point_transfer.replayed_transfers import nearest_trials, replayed_rows
from benchmarks.point_transfer.sampled_transfers import sampled_rows
from benchmarks.point_transfer.transfer_tables import SEARCH, compared_ways, equal_gain_table, way_table
from benchmarks.point_transfer.transfer_ways import PLAN

SIZES = (8, 16, 32)
SAMPLED_SIZE = 16
NARROW = {"lam": 4.0, "ab_alpha": 0.3}
"""Low ends that keep searches of Fashion-MNIST from collapsing: those of search_spaces/fashion_mnist_small.yaml."""
NARROW_SIZE = 8
"""Trials in narrow ranges, in which fewer configurations are trained."""


class NeighbourPair(NamedTuple):
    """Two scenarios, the second of which takes points of the first."""

    source: str
    scenario: str
    cells: tuple[PairCells, PairCells]
    configs: pd.DataFrame
    """Settings of the trained configurations, the same for both."""


def neighbour_pairs(curves: CurveSet) -> list[NeighbourPair]:
    """Return scenarios of neighbouring ratios, each as source of the other one.

    Raises:
        UserError: if there are no curves.
    """
    cells = pair_cells(curves, PLAN)
    configs = pd.read_parquet(curves.folder / "configs.parquet").sort_values("number")
    names = [scenario.name for space in curves.spaces for scenario in space.scenario_list]
    both_ways = [pair for near in itertools.pairwise(names) for pair in (near, near[::-1])]
    return [NeighbourPair(one, other, (cells[one], cells[other]), configs) for one, other in both_ways]


def replayed(pair: NeighbourPair, draws: int) -> list[dict[str, Any]]:
    """Replay all kinds of search over the curves of a pair."""
    own = pair.configs[pair.configs.scenario == pair.scenario]
    every = own.number.tolist()
    narrow = own[(own.lam >= NARROW["lam"]) & (own.ab_alpha >= NARROW["ab_alpha"])].number.tolist()
    kinds = [*itertools.product([every], ([], nearest_trials(own)), SIZES), (narrow, [], NARROW_SIZE)]
    return [row for numbers, known, size in kinds for row in replayed_rows(*pair.cells, numbers, known, size, draws)]


def sampled(pair: NeighbourPair, searches: int) -> list[dict[str, Any]]:
    """Search the surrogates of a pair, with the known points and without."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = (pair.source, pair.scenario)
    both = [SurrogateScenario(name, cells, pair.configs) for name, cells in zip(names, pair.cells, strict=True)]
    return [
        row
        for with_known in (False, True)
        for row in sampled_rows(names, (both[0], both[1]), SAMPLED_SIZE, searches, with_known)
    ]


def _all_rows(pairs: list[NeighbourPair], draws: int, searches: int, jobs: int) -> Iterator[dict[str, Any]]:
    with ProcessPoolExecutor(jobs) as pool:
        replays = pool.map(replayed, pairs, itertools.repeat(draws))
        samples = pool.map(sampled, pairs, itertools.repeat(searches))
        for part in (*replays, *samples):
            yield from part


def main() -> None:
    """Compare, print and write."""
    parser = command_parser("benchmarks.point_transfer", __doc__)
    parser.add_argument("--draws", type=at_least(2), default=100, help="replayed searches of each kind")
    parser.add_argument("--searches", type=at_least(2), default=30, help="searches with Optuna's sampler of each kind")
    parser.add_argument("--jobs", type=at_least(1), default=CORES)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path, help="page of Markdown whose tables are replaced")
    options = parser.parse_args()
    started = time.perf_counter()
    try:
        page = options.page and options.page.read_text()
        pairs = neighbour_pairs(NEIGHBOURS)
    except (UserError, OSError) as error:
        parser.error(str(error))
    rows = pd.DataFrame(_all_rows(pairs, options.draws, options.searches, options.jobs))
    compared = compared_ways(rows)
    names = [(pair.source, pair.scenario) for pair in pairs]
    tables = {}
    for (drawn_by, size, with_known), own in compared.groupby(SEARCH, sort=False):
        known = "known points first" if with_known else "no known points"
        tables[f"{drawn_by}, {size} trials, {known}"] = list(way_table(own, names))
    for with_known, own in compared[compared.epochs.notna()].groupby("with_known", sort=False):
        tables[f"equal gain, {'known points first' if with_known else 'no known points'}"] = list(equal_gain_table(own))
    report = {
        "draws": options.draws,
        "searches": options.searches,
        "seconds": round(time.perf_counter() - started, 1),
        "environment": report_environment(parser.prog),
        "ways": compared.round(5).astype(object).where(compared.notna(), None).to_dict("records"),
    }
    write_json_report(options.json, report, indent=1)
    if options.page:
        options.page.write_text(with_tables(page, tables))
    for name, lines in tables.items():
        print("\n".join((f"\n{name}\n", *lines)))


if __name__ == "__main__":
    main()
