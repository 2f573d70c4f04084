"""What a probe found, as a table and lines for a terminal.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tune_runs.preview.packings import ENOUGH, Probe, Row, proposed

_MIB = 2**20


def draw_probe(found: Probe) -> RenderableType:
    """Each way with what it trained and took, what is proposed, and what could not be measured."""
    memory = "GPU memory" if found.on_gpu else "memory"
    table = Table("at once", "resources", box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for column in ("images/s", "of one", memory):
        table.add_column(column, justify="right")
    for row in found.rows:
        table.add_row(str(row.way.trials), Text(row.way.words), *_cells(row))
    facts = Table.grid(padding=(0, 2))
    for name, fact in _facts(found):
        facts.add_row(Text(name), Text(fact))
    return Group(table, facts)


def _cells(row: Row) -> tuple[str, str, str]:
    if row.failure:
        return "-", "-", "-"
    least, median, most = row.of_one
    spread = f" ({least:.2f} to {most:.2f})" if row.way.trials > 1 else ""
    memory = f"{row.peak_bytes / _MIB:,.0f} MiB" if row.peak_bytes else "-"
    return f"{row.images_per_s:,.0f}", f"{median:.2f}{spread}", memory


def _facts(found: Probe) -> Iterator[tuple[str, str]]:
    for row in found.rows:
        if row.failure:
            yield f"{row.way.trials} at once", f"{row.way.words} was not measured: {row.failure}"
    best = proposed(found.rows)
    if best is None:
        yield "proposed", "nothing: no trial could be measured"
        return
    yield "proposed", f"resources: {best.way.words}{', as the space has it' if best.way == found.own else ''}"
    yield "", _reason(found, best)
    rounds = "1 round" if best.num_rounds == 1 else f"medians of {best.num_rounds} rounds (least to most)"
    yield "probed", f"{found.scenario} on {found.device}: {rounds}; of one: against one trial alone in the same round"


def _reason(found: Probe, best: Row) -> str:
    count = best.way.trials
    trials = "1 trial" if count == 1 else f"{count} trials"
    reason = f"{trials} at once: the fewest that train at least {ENOUGH:.0%} of the most measured"
    own = next((row for row in found.rows if row.way == found.own), None)
    if own is None or own.failure:
        return f"{reason}; what the space has was not measured here"
    if own is best:
        return reason
    return f"{reason}; the space has {own.way.words}, {own.of_one[1]:.2f} of one against {best.of_one[1]:.2f}"
