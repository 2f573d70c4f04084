"""Tables and named facts for a terminal of any width: no word and no number is ever broken.

A table that is too wide even with every header wrapped at its spaces becomes a list: a block of lines for each row.
Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_GAP = 2
"""Spaces between the columns of facts and blocks."""
_TOGETHER = "\N{NO-BREAK SPACE}"  # between words of one line, printed as a space
_LEAST_FACT = 30
"""Columns below which a fact stands under its name, not beside it."""


class TableColumn(NamedTuple):
    """A column of a `ConsoleTable`."""

    name: str
    kind: Literal["text", "number"] = "number"
    """Text stands left and wraps between words; numbers stand right and never wrap."""


class ConsoleTable:
    """A table whose columns are at least as wide as their longest word.

    Args:
        columns: in order; a bare name is a column of numbers, the first one is text.
        title: line above the table.
    """

    def __init__(self, columns: Sequence[str | TableColumn], title: str | None = None) -> None:
        given = [one if isinstance(one, TableColumn) else TableColumn(one) for one in columns]
        self.columns = [given[0]._replace(kind="text"), *given[1:]]
        self._title = title
        self._rows: list[tuple[str, ...]] = []
        self._last_of_section: set[int] = set()

    def add_row(self, *cells: str) -> None:
        """Add a row with one cell for each column."""
        assert len(cells) == len(self.columns), f"{len(cells)} cells for {len(self.columns)} columns"
        self._rows.append(cells)

    def add_section(self) -> None:
        """Draw a line before the next row."""
        self._last_of_section.add(len(self._rows) - 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or the blocks where it does not fit."""
        if self._title:
            yield from wrapped_lines(self._title, options.max_width)
        least = [self._least_width(place) for place in range(len(self.columns))]
        for padding in (1, 0):
            table = self._table(least, padding)
            spare = options.max_width - console.measure(table, options=_unlimited(options)).maximum
            if spare >= 0:
                yield self._table(self._widened(least, spare), padding)
                return
        yield from self._blocks(options.max_width)

    def _widened(self, least: Sequence[int], spare: int) -> list[int]:
        """Give spare width to cells that still wrap, then to headers, the narrowest first."""
        widths = list(least)
        cells = [max((len(row[place]) for row in self._rows), default=0) for place in range(len(least))]
        for full in (cells, [max(width, len(one.name)) for width, one in zip(cells, self.columns, strict=True)]):
            while spare and (narrow := [place for place, width in enumerate(widths) if width < full[place]]):
                widths[min(narrow, key=lambda place: widths[place] / full[place])] += 1
                spare -= 1
        return widths

    def _least_width(self, place: int) -> int:
        name, kind = self.columns[place]
        cells = [row[place] for row in self._rows]
        words = [*name.split(), *(cells if kind == "number" else (word for cell in cells for word in cell.split()))]
        return max(map(len, words), default=1)

    def _table(self, widths: Sequence[int], padding: int) -> Table:
        is_dense = padding == 0
        table = Table(
            box=box.SIMPLE, pad_edge=False, collapse_padding=True, padding=(0, padding), show_edge=not is_dense
        )
        for (name, kind), width in zip(self.columns, widths, strict=True):
            table.add_column(Text(name), justify="left" if kind == "text" else "right", width=width)
        for place, row in enumerate(self._rows):
            table.add_row(*map(Text, row), end_section=place in self._last_of_section)
        return table

    def _blocks(self, width: int) -> Iterator[Text]:
        names = [column.name for column in self.columns[1:]]
        for row in self._rows:
            yield Text("")
            yield from wrapped_lines(f"{self.columns[0].name} {row[0]}", width)
            yield from _named_lines(list(zip(names, row[1:], strict=True)), width, indent=2)
        yield Text("")


class ConsoleFacts:
    """Facts with their names, as two columns; in a narrow terminal each fact stands under its name.

    Args:
        facts: name and text; an empty name continues the fact before.
    """

    def __init__(self, facts: Sequence[tuple[str, str]]) -> None:
        self._facts = facts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        yield from _named_lines(self._facts, options.max_width, indent=0)


def print_sentence(console: Console, text: str) -> None:
    """Print a sentence: on a terminal in lines that break between words, elsewhere on one line."""
    width = console.width if console.is_terminal else len(text) + 1
    for line in wrapped_lines(text, width):
        print_whole(console, line.plain)


def print_whole(console: Console, text: str) -> None:
    """Print a command or a path, which can be copied: the terminal itself folds it, where it must."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def value_text(value: object) -> str:
    """Return the value of a setting, numbers to four significant digits.

    >>> value_text(5.374136), value_text(None), value_text([1, 2])
    ('5.374', '-', '1, 2')
    """
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, value))
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def wrapped_lines(text: str, width: int, indent: int = 0) -> Iterator[Text]:
    """Yield a text as lines that break between words; a word longer than the terminal, such as a path, is folded."""
    lines = textwrap.wrap(text, max(width - indent, 1), break_long_words=False, break_on_hyphens=False)
    yield from (Text(" " * indent + line.replace(_TOGETHER, " "), overflow="fold") for line in lines or [""])


def together(text: str) -> str:
    """Return a text of several words that `wrapped_lines` and `ConsoleFacts` leave on one line.

    >>> wrapped = wrapped_lines(f"lam 5.374, {together('switch_epoch 12')}", 22)
    >>> [line.plain for line in wrapped]
    ['lam 5.374,', 'switch_epoch 12']
    """
    return text.replace(" ", _TOGETHER)


def _named_lines(facts: Sequence[tuple[str, str]], width: int, indent: int) -> Iterator[Text]:
    """Yield names and texts side by side: names wrap where that leaves room for the texts, or stand above them."""
    names, texts = zip(*facts, strict=True) if facts else ((), ())
    needed = min(_LEAST_FACT, max(map(len, texts), default=0))
    gap = _GAP if any(names) else 0
    name_width = min(max(map(len, names), default=0), max(0, width - indent - gap - needed))
    if name_width < max((len(word) for name in names for word in name.split()), default=0):
        for name, text in facts:
            yield from wrapped_lines(name, width, indent) if name else ()
            yield from wrapped_lines(text, width, indent + _GAP)
        return
    beside = indent + name_width + gap
    for name, text in facts:
        left = [one.plain for one in wrapped_lines(name, name_width)]
        right = [one.plain for one in wrapped_lines(text, width - beside)]
        for one, other in itertools.zip_longest(left, right, fillvalue=""):
            yield Text(f"{' ' * indent}{one:<{name_width + gap}}{other}".rstrip(), overflow="fold")


def _unlimited(options: ConsoleOptions) -> ConsoleOptions:
    return options.update(max_width=10_000)
