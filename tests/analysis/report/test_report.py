"""Page, tables and command show the results, and nothing from a run folder is taken for code."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from absgd.config import RunConfig
from analysis import Runs, load
from analysis.cli import app
from analysis.figures.figure_files import file_stem
from analysis.figures.scenario_figures import drawings
from analysis.report.html_elements import json_in_script
from analysis.report.html_report import report_html, write_report
from analysis.report.report_tables import scenario_table
from analysis.report.text_report import comma_separated, escape_latex, escape_markdown, latex, markdown
from analysis.report.training_commands import commands
from tests.support import run_folders
from tests.support.own_parts import installed
from tests.support.run_folders import EVIL, evil_folder


class Page(HTMLParser):
    """Tags, links and text of a page, with scripts apart from other text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        is_script = self.tags and self.tags[-1] == "script"
        (self.scripts if is_script else self.words).append(data)


def test_page_is_self_contained(full: Runs) -> None:
    page = Page(report_html(full))
    assert {link for link in page.links if not link.startswith("#")} == {"data:,"}
    assert page.tags.count("script") == 2 + page.tags.count("figure")
    assert page.tags.count("figure") == 9


def test_page_has_verdict_numbers_and_environment(full: Runs) -> None:
    text = " ".join(Page(report_html(full)).words)
    for wanted in (
        "the gain may be the larger learning rate alone",
        "82.47 ± 0.63",
        "+2.50 (+1.72 to +3.28)",
        "Selection rule: last epoch",
        "absgd-train --config",
        "absgd-tune --space s.yaml",
        "1 of 16 search trials diverged.",
    ):
        assert wanted in text


def test_page_of_several_runs_has_an_overview(full_folder: Path, search_folder: Path) -> None:
    runs = load([full_folder, search_folder])
    page = report_html(runs)
    assert 'id="overview"' in page
    assert all(f'href="#s{k}"' in page and f'id="s{k}"' in page for k in range(2))


def test_no_file_of_a_run_folder_is_code(tmp_path: Path) -> None:
    runs = load(evil_folder(tmp_path / "evil"))
    text = report_html(runs)
    assert EVIL not in text
    page = Page(text)
    assert page.tags.count("script") == 2 + page.tags.count("figure")
    assert EVIL in "".join(page.words)
    assert EVIL not in latex(runs)
    assert "\\<script\\>" in markdown(runs)


def test_a_terminal_is_not_steered_and_long_errors_are_cut(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r", "s\x1b[31m")
    run_folders.search_rows(folder, num_trials=4)
    error = "\x1b[2J" + 10_000 * "x"
    folder.add("a\x1b[5m", run_folders.config(), 0.9)
    folder.add("b", run_folders.config(), 0.5, status="failed", num_epochs=2, error=error)
    written = folder.write()
    (written / "environment.json").write_text(json.dumps({"sessions": [{"command": error}]}))
    runs = load(written)
    for text in (report_html(runs), markdown(runs), latex(runs), comma_separated(runs)):
        assert "\x1b" not in text
        assert 300 * "x" not in text or text.startswith("<!DOCTYPE")
        assert 2000 * "x" not in text
    assert any("search trials failed: \x1b[2J" + 296 * "x" + "..." in text for text in runs.cautions().text)


def test_test_set_that_was_read_is_reported_as_read(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    folder.add("a", run_folders.config(), 0.7, metric="val_few_accuracy", test=0.6)
    runs = load(folder.write(), rule="chosen")
    assert "the test set was not read" not in markdown(runs)
    assert "the test set was read, but has no such metric at the epoch best on validation" in markdown(runs)
    assert "test at the last epoch" in markdown(runs.using("last"))


@given(st.text())
def test_json_in_a_script_is_read_back(text: str) -> None:
    found = json_in_script({"x": text})
    assert json.loads(found) == {"x": text}
    assert "<" not in found
    assert "\u2028" not in found


@pytest.mark.parametrize("text", ["a|b", "`x`", "[a](b)", "<i>", "*b*", "_c_", "# h", "a\nb", "\\"])
def test_markdown_is_shown_verbatim(text: str) -> None:
    from markdown_it import MarkdownIt

    tree = MarkdownIt("commonmark").enable("table").parse(f"| x |\n|---|\n| {escape_markdown(text)} |")
    cell = next(token for k, token in enumerate(tree) if tree[k - 1].type == "td_open")
    assert [child.type for child in cell.children or ()] in (["text"], ["text"] * len(cell.children or ()))
    assert "".join(child.content for child in cell.children or ()) == " ".join(text.split())


def test_latex_escapes_every_special_letter() -> None:
    found = escape_latex(r"\input{a} $x$ 5% a_b #1 ~ ^ & <>| ± −")
    assert not re.search(r"(?<!\\)[%#&_]", found)
    assert r"\textbackslash{}input\{a\} \$x\$" in found


def test_markdown_and_latex_have_the_rule_and_the_numbers(full: Runs) -> None:
    for text in (markdown(full), latex(full)):
        assert "Selection rule: last epoch" in text
        assert "83.47" in text
    assert latex(full).count(r"\toprule") == 2


def test_csv_has_raw_numbers(full: Runs) -> None:
    (row,) = csv.DictReader(io.StringIO(comma_separated(full)))
    best = full.best().iloc[0]
    assert float(row["val_mean"]) == best.val_mean
    assert float(row["ce_difference"]) == full.compare().difference.iloc[0]
    assert row["verdict"] == "undecided"


def test_csv_text_is_no_formula(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r", "=1+1")
    folder.add("@a", run_folders.config(), 0.7)
    (row,) = csv.DictReader(io.StringIO(comma_separated(load(folder.write()))))
    assert row["scenario"] == "'=1+1"
    assert row["trial_id"] == "'@a"


def test_commands_name_the_best_file_where_it_is_the_choice(tmp_path: Path, full_folder: Path) -> None:
    folder = Path(shutil.copytree(full_folder, tmp_path / "with space"))
    (one,) = load(folder).scenarios()
    text, *trains = commands(one)
    assert text.startswith("cat > digits-exp-0.05-best-1.yaml <<'END'\n")
    assert RunConfig.from_dict(yaml.safe_load(text.split("'END'\n")[1][:-3])).seeds.data == 1000
    (folder / "best").mkdir()
    (folder / "best" / "digits-exp-0.05.yaml").write_text(run_folders.config().to_yaml())
    named = commands(one)
    assert len(named) == len(trains) == 5
    assert named[0].startswith(f"absgd-train --config '{folder}/best/digits-exp-0.05.yaml' --set seeds.data=1000 ")
    assert named[0].endswith("--set seeds.train=2000 --out runs/digits-exp-0.05-best-1-1000-2000 --test")


def test_no_installed_part_is_imported_for_the_best_file(
    tmp_path: Path, full_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    folder = Path(shutil.copytree(full_folder, tmp_path / "run"))
    (folder / "best").mkdir()
    settings = {**run_folders.config().to_dict(), "model": {"name": "net"}}
    (folder / "best" / "digits-exp-0.05.yaml").write_text(yaml.safe_dump(settings))
    (one,) = load(folder).scenarios()
    assert commands(one)[0].startswith("cat > digits-exp-0.05-best-1.yaml <<'END'\n")
    assert "own_package" not in sys.modules


def test_figures_have_numbers_and_axes_with_units(full: Runs) -> None:
    (one,) = full.scenarios()
    found = {drawing.name: drawing.figure for drawing in drawings(one, full.compare(control=None))}
    assert list(found) == [
        "differences", "recall", "fresh-curves", "curves", "landscape", "parallel", "importance", "weights", "savings",
    ]  # fmt: skip
    assert list(found["differences"].data[0].x) == pytest.approx([2.2, 3.5, 0.04, 2.5])
    assert found["landscape"].layout.xaxis.type == "log"
    assert found["curves"].layout.yaxis.title.text == "validation balanced accuracy (%)"
    assert found["recall"].layout.xaxis.title.text == "class (training images)"


def test_figures_of_the_page_are_those_that_plotly_validates(predicted: Runs) -> None:
    (one,) = predicted.scenarios()
    for drawing in drawings(one, predicted.comparisons):
        assert json.loads(json_in_script(drawing.plot.to_dict())) == json.loads(drawing.figure.to_json())


def test_figures_of_many_classes(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    folder.add("a", run_folders.config(), 0.8, class_counts=list(range(200, 0, -2)))
    for row in folder.epochs:
        row["val_recall"], row["mean_weight"] = [0.5] * 100, [1.0] * 100
    (one,) = load(folder.write()).scenarios()
    found = {drawing.name: drawing.figure for drawing in drawings(one)}
    assert found["recall"].layout.xaxis.type == "log"
    assert [trace.name for trace in found["weights"].data] == [
        "many (> 100 images)", "medium (20 to 100)", "few (< 20)",
    ]  # fmt: skip


def test_file_names_are_plain() -> None:
    assert file_stem("../a", EVIL) == "a_script-alert-1-script"


def test_report_command(tmp_path: Path, search_folder: Path) -> None:
    folder = Path(shutil.copytree(search_folder, tmp_path / "run"))
    done = CliRunner().invoke(app, [str(folder)])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("verdict: digits-exp-0.05: On one seed")
    assert done.stdout.endswith(f"report: {folder}/report.html\n")
    assert "One seed" in (folder / "report.html").read_text()


@pytest.mark.parametrize(("kind", "begins"), [("md", "# Best"), ("latex", "% needs"), ("csv", "folder,scenario")])
def test_report_command_prints_tables(full_folder: Path, tmp_path: Path, kind: str, begins: str) -> None:
    done = CliRunner().invoke(app, [str(full_folder), "--format", kind, "--rule", "chosen"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(begins)
    assert "epoch best on validation" in done.stdout
    again = CliRunner().invoke(app, [str(full_folder), "--format", kind, "--rule", "chosen", "--out", f"{tmp_path}/t"])
    assert again.exit_code == 0
    assert (tmp_path / "t").read_text() == done.stdout


def test_report_command_on_bad_input(tmp_path: Path, full_folder: Path) -> None:
    absent = CliRunner().invoke(app, [str(tmp_path / "absent")])
    assert absent.exit_code == 2
    assert absent.stderr == f"absgd-report: error: expected a run folder, found no {tmp_path}/absent\n"
    (tmp_path / "empty").mkdir()
    mixed = CliRunner().invoke(app, [str(tmp_path / "empty"), str(full_folder), "--out", str(tmp_path / "r.html")])
    assert mixed.exit_code == 0
    assert "warning:" in mixed.stderr
    assert "empty: not a run folder" in mixed.stderr
    (tmp_path / "file").write_text("")
    disk = CliRunner().invoke(app, [str(full_folder), "--out", str(tmp_path / "file" / "r.html")])
    assert disk.exit_code == 1


def test_written_report_is_the_page(full: Runs, tmp_path: Path) -> None:
    write_report(full, tmp_path / "new" / "r.html")
    assert (tmp_path / "new" / "r.html").stat().st_size > 4_000_000


def test_results_and_settings_of_a_confirmation_are_two_tables(full: Runs) -> None:
    table = scenario_table(full, full.comparisons)
    results, settings = table.parts()
    assert results.columns + settings.columns[1:] == table.columns
    assert (results.columns[-1], settings.columns[0], settings.columns[-1]) == (
        "best is",
        "configuration",
        "learning rate",
    )
    assert [left + right[1:] for left, right in zip(results.rows, settings.rows, strict=True)] == list(table.rows)


def test_narrow_table_stays_one(searched: Runs) -> None:
    table = scenario_table(searched, searched.comparisons)
    assert table.parts() == (table,)
