"""Command line, rounds and verdicts of all benchmarks."""

from __future__ import annotations

import argparse
import json
import sys

import pytest

from benchmarks.harness.command_line import at_least, report_environment
from benchmarks.harness.interleaved_rounds import interleaved_rounds
from benchmarks.harness.target_verdicts import TargetVerdict, exit_status


@pytest.mark.parametrize("text", ["1", "-3", "2.5", "two", ""])
def test_numbers_that_are_too_small_or_none_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"expected a whole number of at least 2, got '{text}'"):
        at_least(2)(text)


def test_environment_has_the_command_to_run_again_and_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--curves", "/home/someone/curves", "--json=/home/someone/x.json", "--orders", "2"]
    monkeypatch.setattr(sys, "argv", ["/home/someone/benchmarks/x.py", *arguments])
    about = report_environment("python -m benchmarks.x")
    assert about["command"] == "python -m benchmarks.x --curves curves --json=x.json --orders 2"
    assert "someone" not in json.dumps(about)


def test_every_contender_takes_part_once_per_round_next_to_its_group() -> None:
    rounds = list(interleaved_rounds([["a", "b"], ["c"]], rounds=20, warm_up=2))
    assert [counted for _, counted in rounds] == [False] * 6 + [True] * 60
    orders = ["".join(name for name, _ in rounds[start : start + 3]) for start in range(0, len(rounds), 3)]
    assert set(orders) == {"abc", "bac", "cab", "cba"}


def test_only_missed_targets_set_the_exit_status() -> None:
    met, missed, elsewhere = (TargetVerdict(is_met, "fast", "busy") for is_met in (True, False, None))
    assert [str(one) for one in (met, missed, elsewhere)] == ["met: fast", "MISSED: fast: busy", "not measured: fast"]
    assert exit_status([met, elsewhere]) == exit_status([]) == 0
    assert exit_status([met, missed]) == 1
