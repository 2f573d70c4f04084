"""The results of a packing probe as a table and lines for a terminal.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType

from absgd.counts import plural
from tune_runs.console_table import ConsoleFacts, ConsoleTable, TableColumn
from tune_runs.preview.packings import (
    ENOUGH_SHARE,
    PackingProbe,
    PackingResult,
    impossible_words,
    is_impossible,
    proposed_packing,
)

_MIB = 2**20


def draw_probe(found: PackingProbe) -> RenderableType:
    """Draw the throughput and memory of each packing, the proposed one, and those that could not be measured."""
    memory = "GPU memory" if found.on_gpu else "memory"
    table = ConsoleTable(["at once", TableColumn("resources", "text"), "images/s", "of one", memory])
    for one in found.results:
        table.add_row(str(one.packing.trials), one.packing.words, *_cells(one))
    return Group(table, ConsoleFacts(list(_facts(found))))


def _cells(result: PackingResult) -> tuple[str, str, str]:
    if result.failure:
        return "-", "-", "-"
    least, median, most = result.speedup
    extremes = f" ({least:.2f} to {most:.2f})" if result.packing.trials > 1 else ""
    memory = f"{result.peak_bytes / _MIB:,.0f} MiB" if result.peak_bytes else "-"
    return f"{result.images_per_s:,.0f}", f"{median:.2f}{extremes}", memory


def _facts(found: PackingProbe) -> Iterator[tuple[str, str]]:
    for one in found.results:
        if one.failure:
            yield f"{one.packing.trials} at once", f"{one.packing.words} was not measured: {one.failure}"
    if doubtful := next(filter(is_impossible, found.results), None):
        yield "proposed", f"nothing: {impossible_words(doubtful)}. Measure again when it is idle"
        return
    best = proposed_packing(found.results)
    if best is None:
        yield "proposed", "nothing: no trial could be measured"
        return
    yield "proposed", f"resources: {best.packing.words}{', as in the space' if best.packing == found.own else ''}"
    yield "", _reason(found, best)
    rounds = "1 round" if best.num_rounds == 1 else f"medians of {best.num_rounds} rounds (least to most)"
    ratio = "`of one`: relative to one trial alone in the same round"
    yield "probed", f"{found.scenario} on {found.device}: {rounds}; {ratio}"


def _reason(found: PackingProbe, best: PackingResult) -> str:
    trials = plural(best.packing.trials, "trial")
    reason = f"{trials} at once: the fewest that reach {ENOUGH_SHARE:.0%} of the highest throughput"
    own = next((one for one in found.results if one.packing == found.own), None)
    if own is None or own.failure:
        return f"{reason}; the space's own setting was not measured here"
    if own is best:
        return reason
    own_speedup, best_speedup = own.speedup.median, best.speedup.median
    compared = f"{own_speedup:.2f} of one against {best_speedup:.2f}"
    return f"{reason}; the space's own setting is {own.packing.words}, {compared}"
