"""Options and exit status of `python -m benchmarks.search_cost`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.search_cost import __main__ as search_cost
from benchmarks.search_cost.__main__ import asked_options
from benchmarks.search_cost.case_results import CaseResult
from benchmarks.search_cost.quickstart_cost import QuickstartRepeat
from benchmarks.search_cost.search_cases import CASES
from tests.support.case_results_made_up import OFF, ON, against, measured


def test_long_cases_run_only_on_request() -> None:
    assert asked_options([]).cases == list(CASES)
    options = asked_options(["--cases", "off-long", "--scenarios", "2", "--plain-repeats", "0"])
    assert (options.cases, options.scenarios, options.plain_repeats) == (["off-long"], [2], 0)


def test_parts_can_be_left_out() -> None:
    options = asked_options(["--cases", "--count", "--forks", "0"])
    assert (options.cases, options.count, options.forks) == ([], [], 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--cases off-short", "argument --cases: invalid choice: 'off-short'"),
        ("--trials 0", "argument --trials: expected a whole number of at least 1, got '0'"),
        ("--trials", "argument --trials: expected at least one argument"),
        ("--scenarios 3", "argument --scenarios: invalid choice: "),
        ("--repeats 0", "argument --repeats: expected a whole number of at least 1, got '0'"),
        ("--plain-repeats -1", "argument --plain-repeats"),
        ("--clocks wall", "argument --clocks: invalid choice: 'wall'"),
        ("--orders 1", "argument --orders: expected a whole number of at least 2, got '1'"),
        ("--forks 2", "argument --forks: expected 0 or at least"),
        ("--json nowhere/x.json", "argument --json: expected a file in an existing folder, got nowhere/x.json"),
    ],
)
def test_wrong_command_lines_are_refused(
    words: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as error:
        asked_options(words.split())
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def run_with(found: CaseResult, report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the command with a made-up measurement."""
    monkeypatch.setattr(search_cost, "measure_cases", lambda *_: [found])
    monkeypatch.setattr(
        search_cost, "measure_quickstart", lambda *_: [QuickstartRepeat(600, 50.0, 30.0, 31.0, 5.0, 3.0)]
    )
    monkeypatch.setattr(sys, "argv", ["", "--count", "--forks", "0", "--json", str(report)])
    search_cost.main()


def test_report_has_the_measurements_and_no_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = tmp_path / "x.json"
    run_with(measured(OFF, exact_epochs=200, plain=(against(),)), report, monkeypatch)
    assert str(tmp_path) not in report.read_text()
    content = json.loads(report.read_text())
    assert content["measured"][0]["plain"][0]["epochs"] == 1600
    assert content["quickstart"][0]["wall_s"] == 50.0
    assert content["environment"]["command"] == "python -m benchmarks.search_cost --count --forks 0 --json x.json"


@pytest.mark.parametrize(
    "found",
    [
        measured(OFF, exact_epochs=201, plain=(against(),)),
        measured(ON, plain=(against("epochs_done"), against("since_switch", different=("digits-3",)))),
    ],
)
def test_inexact_epochs_and_trials_that_differ_end_with_status_1(
    found: CaseResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as error:
        run_with(found, tmp_path / "x.json", monkeypatch)
    assert error.value.code == 1
    assert (tmp_path / "x.json").exists()
