"""The report as Markdown, LaTeX and CSV, with everything from a run folder escaped."""

from __future__ import annotations

import csv
import io
import re

import pandas as pd

from absgd.terminal import printable
from analysis.frames.run_frames import ScenarioParts
from analysis.frames.typed_frames import SCENARIO
from analysis.report.prediction_tables import prediction_table
from analysis.report.report_tables import ReportTable, overview, scenario_table
from analysis.report.tuning_table import tuning_table
from analysis.runs import Runs
from analysis.wording.number_text import setting_text

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
}


def escape_markdown(text: str) -> str:
    r"""Escape text so that Markdown shows it literally, also inside a table.

    >>> escape_markdown("a|b <i>_c_")
    'a\\|b \\<i\\>\\_c\\_'
    """
    return _MARKDOWN.sub(r"\\\1", printable(" ".join(text.split())))


def escape_latex(text: str) -> str:
    r"""Escape text so that LaTeX typesets it literally.

    >>> escape_latex("50 % of a_b \\input{x}")
    '50 \\% of a\\_b \\textbackslash{}input\\{x\\}'
    """
    return "".join(_LATEX.get(letter, letter) for letter in printable(" ".join(text.split())))


def markdown_table(table: ReportTable) -> str:
    """Format a table as Markdown, numbers aligned right."""
    lines = [_markdown_line(table.columns), "|" + "|".join(_rule(table, k) for k in range(len(table.columns))) + "|"]
    lines += [_markdown_line([cell.text for cell in row]) for row in table.rows]
    return "\n".join(lines)


def _markdown_line(texts: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(map(escape_markdown, texts)) + " |"


def _rule(table: ReportTable, column: int) -> str:
    return "---:" if table.is_numeric(column) else "---"


def latex_table(table: ReportTable, label: str) -> str:
    """Format a table as a LaTeX environment that uses the package booktabs."""
    places = "".join("r" if table.is_numeric(k) else "l" for k in range(len(table.columns)))
    lines = [
        r"\begin{table}",
        rf"\caption{{{escape_latex(table.title)}: {escape_latex(table.note)}}}",
        rf"\label{{tab:{re.sub(r'[^A-Za-z0-9-]+', '-', label)}}}",
        rf"\begin{{tabular}}{{{places}}}",
        r"\toprule",
        _latex_line(table.columns),
        r"\midrule",
        *(_latex_line([cell.text for cell in row]) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _latex_line(texts: tuple[str, ...] | list[str]) -> str:
    return " & ".join(map(escape_latex, texts)) + r" \\"


def markdown(runs: Runs) -> str:
    """Return the report as Markdown: the overview, then verdict, cautions and table of each scenario."""
    comparisons, found, cautions = runs.comparisons, runs.verdicts(), runs.cautions()
    table = overview(runs, found, comparisons)
    compared, doubts = ScenarioParts(comparisons), ScenarioParts(cautions)
    parts = [f"# {table.title}", escape_markdown(table.note), markdown_table(table)]
    for one, verdict in zip(runs.scenarios(), found, strict=True):
        own = doubts.of(verdict.folder, verdict.scenario)
        parts.append(f"## {escape_markdown(_heading(runs, verdict.folder, verdict.scenario))}")
        parts.append(f"**{escape_markdown(verdict.text)}**")
        lines = [*verdict.details, *(f"Caution: {text}" for text in own.text)]
        parts.append("\n".join(f"- {escape_markdown(line)}" for line in lines))
        parts.append(markdown_table(scenario_table(one, compared.of(verdict.folder, verdict.scenario))))
        tuned = tuning_table(one)
        parts += [f"### {tuned.title}", escape_markdown(tuned.note), markdown_table(tuned)] if tuned.rows else []
        if predictions := prediction_table(one):
            parts += [f"### {predictions.title}", escape_markdown(predictions.note), markdown_table(predictions)]
    if runs.problems:
        parts.append("## Problems in the run folders")
        parts.append("\n".join(f"- {escape_markdown(str(problem))}" for problem in runs.problems))
    return "\n\n".join(part for part in parts if part) + "\n"


def latex(runs: Runs) -> str:
    """Return the overview and one table for each scenario as LaTeX, for a paper with the package booktabs."""
    comparisons, found = runs.comparisons, runs.verdicts()
    compared = ScenarioParts(comparisons)
    parts = ["% needs \\usepackage{booktabs}", latex_table(overview(runs, found, comparisons), "overview")]
    for one, verdict in zip(runs.scenarios(), found, strict=True):
        table = scenario_table(one, compared.of(verdict.folder, verdict.scenario))
        parts.append(f"% {escape_latex(verdict.scenario)}: {escape_latex(verdict.text)}")
        parts.append(latex_table(table, f"{verdict.folder}-{verdict.scenario}"))
        tuned = tuning_table(one)
        parts += [latex_table(tuned, f"{verdict.folder}-{verdict.scenario}-tuned")] if tuned.rows else []
    return "\n\n".join(parts) + "\n"


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def comma_separated(runs: Runs) -> str:
    """Return raw numbers as CSV, one row per scenario: `Runs.best`, then the comparison with each control.

    Text that a spreadsheet would take for a formula is prefixed with an apostrophe.
    """
    table = runs.best(by=SCENARIO)
    comparisons = runs.comparisons
    for control in comparisons.control.unique():
        own = comparisons[comparisons.control == control].set_index(SCENARIO)
        columns = own[["difference", "low", "high", "p_value", "finding"]]
        table = table.join(columns.rename(columns=lambda name, control=control: f"{control}_{name}"), on=SCENARIO)
    outcomes = pd.DataFrame(
        [{"folder": v.folder, "scenario": v.scenario, "verdict": v.outcome} for v in runs.verdicts()]
    )
    table = table.merge(outcomes, on=SCENARIO)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(_field, table.columns))
    writer.writerows(map(_field, row) for row in table.itertuples(index=False, name=None))
    return buffer.getvalue()


def _field(value: object) -> object:
    """Make a value safe for spreadsheets and terminals: no text is a formula or a control sequence."""
    if pd.api.types.is_list_like(value):
        return setting_text(value)
    if not isinstance(value, str):
        return "" if pd.isna(value) else value  # type: ignore[call-overload]
    return printable(f"'{value}" if value.startswith(_FORMULA) else value)


def _heading(runs: Runs, folder: str, scenario: str) -> str:
    return scenario if len(set(runs.trials.folder)) == 1 else f"{scenario} ({folder})"
