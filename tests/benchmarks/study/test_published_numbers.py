"""The commands beside published numbers are accepted; they need no data to be read."""

from __future__ import annotations

import shlex

import pytest
from typer.testing import CliRunner

from absgd.cli import app
from benchmarks.study.published_numbers import NOT_RUN, published_numbers, published_table
from tune_runs.request.space_files import load_space

COMMANDS = sorted({one.command for one in published_numbers()})


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("absgd-train")])
def test_command_of_a_run_shows_its_configuration(command: str) -> None:
    words = [word for word in shlex.split(command)[1:] if word != "--test"]
    result = CliRunner().invoke(app, [*words, "--show"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("absgd-tune")])
def test_command_of_a_search_names_a_shipped_space(command: str) -> None:
    program, option, name = shlex.split(command)
    assert (program, option) == ("absgd-tune", "--space")
    assert load_space(name).name == name


def test_table_says_that_nothing_was_run() -> None:
    _, _, *rows = published_table()
    assert len(rows) == len(list(published_numbers()))
    assert all(row.endswith(f"| {NOT_RUN} |") for row in rows)
