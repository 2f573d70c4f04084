"""What all benchmarks ask for in the same way, and say about themselves."""

from __future__ import annotations

import argparse
import json
import sys

import pytest

from benchmarks.command_line import at_least, environment


@pytest.mark.parametrize("text", ["1", "-3", "2.5", "two", ""])
def test_numbers_that_are_too_small_or_none_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"expected a whole number of at least 2, got '{text}'"):
        at_least(2)(text)


def test_environment_has_the_command_to_run_again_and_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--curves", "/home/somebody/curves", "--json=/home/somebody/x.json", "--orders", "2"]
    monkeypatch.setattr(sys, "argv", ["/home/somebody/benchmarks/x.py", *arguments])
    about = environment("python -m benchmarks.x")
    assert about["command"] == "python -m benchmarks.x --curves curves --json=x.json --orders 2"
    assert "somebody" not in json.dumps(about)
