"""The end of a search: its report, its verdicts, and the result that Python gets; no training."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest
from rich.console import Console

from absgd import records
from absgd.config import RunConfig
from absgd.records import Verdict
from analysis import load
from tests.support.run_folders import confirmed
from tests.support.spaces import make
from tune_runs.report_process import ReportProcess, report_process
from tune_runs.request.search_request import new_request
from tune_runs.whole_search import carry_out


def said_by(folder: Path, console: Console) -> list[Verdict]:
    with report_process(folder) as report:
        report.begin()
        return report.verdicts(console)


def test_prepared_report_waits_for_the_records_and_reads_them_then(tmp_path: Path) -> None:
    with report_process(tmp_path / "run") as report:
        report.prepare()
        process = report._process
        assert isinstance(process, subprocess.Popen)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3.0)  # there is nothing to report yet
        folder = confirmed(tmp_path / "run")
        report.begin()
        assert report._process is process
        assert [str(one) for one in report.verdicts(Console(quiet=True))] == [str(load(folder).verdicts()[0])]


@pytest.mark.parametrize("is_begun", [False, True])
def test_report_that_nobody_waits_for_ends(tmp_path: Path, is_begun: bool) -> None:
    with report_process(confirmed(tmp_path / "run")) as report:
        report.begin() if is_begun else report.prepare()
        process = report._process
    assert isinstance(process, subprocess.Popen)
    assert process.returncode == -signal.SIGKILL


def test_prepared_report_ends_with_the_process_that_prepared_it(tmp_path: Path) -> None:
    report = ReportProcess(confirmed(tmp_path / "run"))
    report.prepare()
    assert isinstance(report._process, subprocess.Popen)
    assert report._process.stdin is not None
    report._process.stdin.close()
    assert report._process.wait(120) == 0
    assert not (tmp_path / "run" / "report.html").exists()


def test_end_of_a_search_says_the_verdict_and_the_settings_it_is_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = confirmed(tmp_path / "run")
    said_by(folder, Console(width=60, no_color=True))
    shown = capsys.readouterr().out
    (found,) = load(folder).verdicts()
    assert "".join(f"verdict: {found}".split()) in "".join(shown.split()), "a path wider than the console is broken"
    assert shown.rstrip().endswith("best-1: loss abce, lam 5, gamma 0.7, ab_alpha 0.5,\n          switch_epoch 5")
    assert f"report:  {folder}/report.html" in shown


def test_report_that_fails_leaves_no_verdict_of_another_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "verdicts.json").write_text("old")
    assert said_by(tmp_path, Console(width=60)) == []
    assert "no report was written" in capsys.readouterr().err
    assert not (tmp_path / "verdicts.json").exists()


@pytest.mark.parametrize("has_own", [False, True], ids=["absgd is the best", "a tuned control is the best"])
def test_result_has_the_best_configurations_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_own: bool
) -> None:
    own, best = (RunConfig.from_dict({"data": {"name": "digits"}, "loss": {"name": "ce"}, "epochs": n}) for n in (3, 5))
    folder = confirmed(tmp_path / "run")
    request = new_request(make({"scenarios": [{"name": "first"}, {"name": "second"}]}), tmp_path / "other")
    request = dataclasses.replace(request, folder=folder)
    (folder / "best").mkdir(exist_ok=True)
    records.best_file(folder, "first").write_text(best.to_yaml())
    if has_own:
        records.best_absgd_file(folder, "first").write_text(own.to_yaml())
    monkeypatch.setattr("tune_runs.whole_search.run_search", lambda *_: "budget")
    monkeypatch.setattr("tune_runs.whole_search.ray_session", nullcontext)
    result = carry_out(request, Console(quiet=True))
    assert (result.status, result.folder, result.report) == ("budget", folder, folder / "report.html")
    assert result.best == {"first": best}
    assert result.best_absgd == {"first": own if has_own else best}
    assert [str(one) for one in result.verdicts.values()] == [str(one) for one in load(folder).verdicts()]
