"""absgd-report starts without the libraries that it may not need, and says what it found."""

from __future__ import annotations

import json
import subprocess
import sys
from html import escape
from pathlib import Path

import pytest
from typer.testing import CliRunner

from absgd.records import read_verdicts
from analysis import load
from analysis.cli import app
from tests.support.run_folders import confirmed


def test_plotly_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys, analysis, analysis.cli, analysis.report.text_report; "
        "print([name for name in ('plotly', 'torch', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout


def test_names_and_percent_of_a_ray_folder(tmp_path: Path) -> None:
    for number in range(2):
        folder = tmp_path / "sweep" / f"train_{number}"
        folder.mkdir(parents=True)
        (folder / "params.json").write_text('{"lr": 0.1}')
        result = {"val": {"top=1": 95.0 - number}, "training_iteration": 1}
        (folder / "result.json").write_text(json.dumps(result) + "\n")
    words = [str(tmp_path / "sweep"), "--format", "md", "--name", "val/top=1=val_accuracy"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "(--percent)" in refused.output
    done = CliRunner().invoke(app, [*words, "--percent"])
    assert done.exit_code == 0, done.output
    assert "95.00 %" in done.output
    wrong = CliRunner().invoke(app, [*words, "--name", "top1"])
    assert "expected THEIRS=OURS, got 'top1' (--name)" in wrong.output


def test_report_says_the_verdicts_and_writes_them(tmp_path: Path) -> None:
    folder = confirmed(tmp_path / "run")
    result = CliRunner().invoke(app, [str(folder), "--verdicts", str(tmp_path / "new" / "v.json")])
    assert result.exit_code == 0, result.output
    (found,) = read_verdicts(tmp_path / "new" / "v.json")
    assert found == load(folder).verdicts()[0]
    assert f"verdict: {found}" in result.output
    page = (folder / "report.html").read_text()
    assert escape(found.text) in page
    assert found.label in page
    refused = CliRunner().invoke(app, [str(folder), "--verdicts", str(tmp_path)])
    assert refused.exit_code == 2
    assert f"expected a file, got the folder {tmp_path} (--verdicts)" in refused.output


def test_a_file_in_place_of_the_folder_of_figures_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder, file = confirmed(tmp_path / "run"), tmp_path / "file"
    file.write_text("")
    for figures, reason in ((file, f"got the file {file}"), (file / "inside", "Not a directory")):
        refused = CliRunner().invoke(app, [str(folder), "--figures", str(figures)])
        assert refused.exit_code == 2
        assert "expected a folder" in refused.output
        assert f"{reason} (--figures)" in refused.output
        assert not (folder / "report.html").exists()


def test_figures_without_kaleido_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = confirmed(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "choreographer.browsers.chromium", None)
    refused = CliRunner().invoke(app, [str(folder), "--figures", str(tmp_path / "figures")])
    assert refused.exit_code == 2
    assert "figures as files need kaleido: pip install 'absgd-tune[figures]' (--figures)" in refused.output
    assert not (folder / "report.html").exists()
