"""Tables and facts on terminals of any width."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tune_runs.console_table import ConsoleFacts, ConsoleTable, TableColumn, print_sentence, together

WIDTHS = [200, 120, 80, 60, 40, 25]
COLUMNS = ["candidate", "n", "validation balanced accuracy", "test balanced accuracy (chosen epoch)"]
ROWS = [("best-1 *", "3", "0.9356 ± 0.0038", "0.9421 ± 0.0113"), ("balanced-softmax", "3", "0.9433 ± 0.0000", "-")]
PATH = "/data/of/somebody/in/a/folder/whose/name/is/long/trials.parquet"


def printed(thing: Any, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(thing)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def table() -> ConsoleTable:
    made = ConsoleTable(COLUMNS, title="quickstart: confirmed on fresh seeds")
    for row in ROWS:
        made.add_row(*row)
    return made


@pytest.mark.parametrize("width", WIDTHS)
def test_no_word_and_no_number_is_broken(width: int) -> None:
    lines = printed(table(), width)
    words = " ".join(lines).split()
    for text in (*COLUMNS, *(cell for row in ROWS for cell in row)):
        assert set(text.split()) <= set(words), text
    assert max(map(len, lines)) <= width
    for number in ("0.9356 ± 0.0038", "0.9421 ± 0.0113"):
        assert any(number in line for line in lines), "on one line"


def test_table_that_is_too_wide_becomes_a_block_for_each_row() -> None:
    """First its columns move together."""
    assert all(any("─" in line for line in printed(table(), width)) for width in (60, 50))
    narrow = printed(table(), 40)
    assert narrow[1:4] == ["", "candidate best-1 *", "  n                      3"]
    assert not any("─" in line for line in narrow)


def test_text_columns_wrap_between_words() -> None:
    made = ConsoleTable(["parameter", TableColumn("range", "text")])
    made.add_row("optimizer.lr", "0.001 to 0.1, log, and many more words than fit here")
    assert any("optimizer.lr  0.001 to" in line for line in printed(made, 40))


def test_sections_are_kept() -> None:
    made = ConsoleTable(["epochs of", "trunks"])
    made.add_row("digits", "1")
    made.add_section()
    made.add_row("all", "2")
    lines = [line.strip() for line in printed(made, 80)]
    assert lines[-4:] == ["digits          1", "", "all             2", ""], lines


@pytest.mark.parametrize("width", WIDTHS)
def test_facts_lose_no_word_and_no_part_of_a_path(width: int) -> None:
    facts = [("stage one", "trained once, by the control; trials fork from it after 8 to 12 epochs"), ("", PATH)]
    lines = printed(ConsoleFacts(facts), width)
    assert set(" ".join(text for pair in facts[:1] for text in pair).split()) <= set(" ".join(lines).split())
    assert PATH in "".join(line.strip() for line in lines)


def test_facts_stand_beside_their_names_where_there_is_room() -> None:
    facts = [("chosen by", "val_accuracy"), ("", "and more")]
    assert printed(ConsoleFacts(facts), 80) == ["chosen by  val_accuracy", "           and more"]
    assert printed(ConsoleFacts([]), 80) in ([], [""])


def test_sentences_break_between_words_on_a_terminal_and_nowhere_in_a_file() -> None:
    text = f"note: the trial starts after 4 epochs instead of 5, see {PATH}"
    narrow, file = (
        Console(file=io.StringIO(), width=40, force_terminal=flag, color_system=None) for flag in (True, False)
    )
    for console in (narrow, file):
        print_sentence(console, text)
    assert isinstance(narrow.file, io.StringIO)
    assert isinstance(file.file, io.StringIO)
    assert file.file.getvalue() == f"{text}\n"
    assert narrow.file.getvalue() == f"note: the trial starts after 4 epochs\ninstead of 5, see\n{PATH}\n"


def test_words_that_belong_together_stay_on_one_line() -> None:
    text = ", ".join(together(f"parameter_{number} {number}") for number in range(9))
    lines = printed(ConsoleFacts([("", text)]), 40)
    assert [line.split(", ")[0] for line in lines] == [f"parameter_{number} {number}" for number in range(0, 9, 2)]
    assert " ".join(lines) == text.replace("\N{NO-BREAK SPACE}", " ")
