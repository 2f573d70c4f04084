"""The tables of `benchmarks.search_cost`, as lines of Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from benchmarks.complete_curves.plain_asha import plain_search_name
from benchmarks.search_cost.case_results import CaseResult, PlainComparison, regret
from benchmarks.search_cost.replayed_costs import ReplayedCost

EPOCH_HEAD = "| case | peer | its epochs | ours | fewer | exact | its best | ours | regret | same | epochs | whole |"
WALL_HEAD = (
    "| case | peer | its wall time | ours | faster | ideal | ours / ideal | path | ours / path "
    "| start | worker | end | besides | slow trials |"
)
COUNTED_HEAD = (
    "| trials | switch | stopping | peer | its epochs | ours | fewer | regret | of each seed | regret of the peer |"
)


def epoch_table(measured: Sequence[CaseResult], all_measured: Sequence[CaseResult]) -> Iterator[str]:
    """Format a row for each case and peer; regret compares with the searches without stopping in `all_measured`."""
    yield EPOCH_HEAD
    yield "|---|---|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|"
    for one in measured:
        loss = regret(one, all_measured)
        exact = "" if one.exact_epochs is None else "yes" if one.is_exact else f"NO: {one.exact_epochs}"
        for plain in _peers(one):
            yield _row(
                str(one.case),
                _name(plain),
                str(plain.epochs) if plain else "",
                _around([repeat.epochs for repeat in one.repeats], ".0f"),
                f"{one.fewer(plain):.2f}" if plain else "",
                exact,
                f"{100 * plain.best:.2f}" if plain else "",
                _around([100 * repeat.best for repeat in one.repeats], ".2f"),
                _around(loss, ".2f") if loss else "",
                f"{plain.num_same} of {one.case.num_runs}" if plain else "",
                str(plain.num_same_epochs) if plain else "",
                str(plain.num_same_whole) if plain else "",
            )


def wall_table(measured: Sequence[CaseResult]) -> Iterator[str]:
    """Format a row for each case and peer, in seconds: medians, and ranges where there are several runs."""
    yield WALL_HEAD
    yield "|---|---|" + "---:|" * 12
    for one in measured:
        done = one.repeats
        for plain in _peers(one):
            plain_s = plain.wall_s if plain else ()
            yield _row(
                str(one.case),
                _name(plain),
                _around(plain_s) if plain_s else "",
                _around([repeat.wall_s for repeat in done]),
                f"{statistics.median(plain_s) / one.median(lambda repeat: repeat.wall_s):.1f}" if plain_s else "",
                _around([repeat.ideal_s for repeat in done]),
                _around([repeat.to_ideal for repeat in done], ".2f"),
                _around([repeat.critical_s for repeat in done]),
                _around([repeat.to_critical for repeat in done], ".2f"),
                _around([repeat.start_s for repeat in done]),
                _around([repeat.worker_s for repeat in done]),
                _around([repeat.end_s for repeat in done]),
                _around([repeat.besides_median_s for repeat in done], ".2f"),
                _around([repeat.num_slow for repeat in done], ".0f"),
            )


def replay_table(counted: Sequence[ReplayedCost]) -> Iterator[str]:
    """Format a row for each kind of search and peer."""
    yield COUNTED_HEAD
    yield "|---:|---|---|---|---:|---:|---:|---:|---|---:|"
    for one in counted:
        for peer in one.peers:
            yield _row(
                str(one.num_trials),
                one.switch,
                "on" if one.is_stopping else "off",
                plain_search_name(peer.clock),
                f"{peer.epochs:.0f}",
                f"{one.epochs:.0f}",
                f"{peer.fewer:.2f} ± {peer.fewer_std:.2f}",
                f"{one.regret:.2f} ± {one.regret_std:.2f}",
                ", ".join(f"{value:.2f}" for value in one.regret_by_seed),
                f"{peer.regret:.2f}",
            )


def _peers(one: CaseResult) -> tuple[PlainComparison | None, ...]:
    return one.plain or (None,)


def _name(plain: PlainComparison | None) -> str:
    return plain_search_name(plain.clock) if plain else "not run"


def _around(values: Sequence[float], form: str = ".1f") -> str:
    middle = format(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}}-{max(values):{form}})"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
