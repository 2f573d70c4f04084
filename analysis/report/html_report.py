"""The report: one self-contained HTML file that works offline, with everything from run folders escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files

import pandas as pd
from plotly.offline import get_plotlyjs

from absgd.counts import plural
from absgd.paths import PathLike
from absgd.records import Verdict
from analysis.figures.scenario_figures import drawings
from analysis.frames.loaded_folders import LoadedFolder
from analysis.frames.run_frames import ScenarioParts
from analysis.report.html_elements import command_list, esc, figure_element, session_list, table_element
from analysis.report.prediction_tables import prediction_table
from analysis.report.report_output import write_text
from analysis.report.report_tables import overview, scenario_table
from analysis.report.training_commands import commands
from analysis.report.tuning_table import tuning_table
from analysis.runs import Runs

_PHASES = {
    "search": ("search trial", ""),
    "replicate": ("run", " on further pairs of seeds"),
    "control": ("control", ""),
    "tuning": ("run", " of tuned controls"),
    "confirm": ("run", " on fresh seeds"),
    "single": ("single run", ""),
}
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""Content security policy: the page may load nothing from outside."""


def write_report(runs: Runs, path: PathLike) -> None:
    """Write the report of some runs.

    Args:
        runs: the runs, from `analysis.load`.
        path: the HTML file, replaced atomically; a pipe or a device is written into.

    Raises:
        UserError: if `path` is a folder.
        OSError: if it cannot be written.
    """
    write_text(path, report_html(runs))


def report_html(runs: Runs) -> str:
    """Return the report as HTML."""
    found, comparisons, cautions = runs.verdicts(), runs.comparisons, runs.cautions()
    several = len({folder.name for folder in runs.folders}) > 1
    sections = [_overview_section(runs, found, comparisons)]
    titles, compared, doubts = [], ScenarioParts(comparisons), ScenarioParts(cautions)
    for index, (one, verdict) in enumerate(zip(runs.scenarios(), found, strict=True)):
        titles.append(f"{verdict.scenario} ({verdict.folder})" if several else verdict.scenario)
        own = compared.of(verdict.folder, verdict.scenario)
        texts = doubts.of(verdict.folder, verdict.scenario).text.tolist()
        sections.append(_scenario_section(index, titles[-1], one, verdict, own, texts))
    sections += [_problems_section(runs), _environment_section(runs.folders)]
    return "\n".join(_page(runs, titles, sections))


@cache
def _asset(name: str) -> str:
    return (files("analysis.report") / "assets" / name).read_text(encoding="utf-8")


def _page(runs: Runs, titles: Sequence[str], sections: Sequence[str]) -> Iterator[str]:
    names = sorted({str(name) for name in runs.trials.run.dropna()})
    title = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    yield f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{esc(title)}: report</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield f'<link rel="icon" href="data:,">\n<style>\n{_asset("report.css")}</style>\n</head>'
    yield '<body>\n<div class="page">'
    yield f"<header>\n<h1>{esc(title)}</h1>\n<p class='soft'>{esc(_about(runs))}</p>\n</header>"
    links = "".join(f'<li><a href="#s{index}">{esc(name)}</a></li>' for index, name in enumerate(titles))
    more = '<li><a href="#environment">environment</a></li>'
    yield f'<nav aria-label="Scenarios">\n<ul>{links}{more}</ul>\n</nav>\n<main>'
    yield from (section for section in sections if section)
    yield f"</main>\n</div>\n<script>{get_plotlyjs()}</script>"
    yield f"<script>\n{_asset('report.js')}</script>\n</body>\n</html>"


def _about(runs: Runs) -> str:
    counts = runs.trials.phase.value_counts()
    parts = [plural(int(counts[phase]), noun) + after for phase, (noun, after) in _PHASES.items() if phase in counts]
    written = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return f"{', '.join(parts)}. Selection rule: {runs.rule.title}. Written {written} by absgd-report."


def _overview_section(runs: Runs, found: Sequence[Verdict], comparisons: pd.DataFrame) -> str:
    if len(found) == 1:
        return ""  # its one row would repeat the scenario's own table
    table = overview(runs, found, comparisons)
    results, *settings = table.parts()
    lines = ['<section id="overview">', f"<h2>{esc(table.title)}</h2>", table_element(results)]
    lines += [f"<h3>{esc(part.title)}</h3>\n{table_element(part)}" for part in settings]
    return "\n".join([*lines, "</section>"])


def _scenario_section(
    index: int, title: str, runs: Runs, verdict: Verdict, comparisons: pd.DataFrame, cautions: Sequence[str]
) -> str:
    kind = {"best": "better", "better": "better", "worse": "worse"}.get(verdict.outcome, "open")
    lines = [f'<section id="s{index}">', f"<h2>{esc(title)}</h2>", f'<div class="verdict {kind}">']
    lines += [f'<span class="label">{esc(verdict.label)}</span>', f"<p>{esc(verdict.text)}</p>\n</div>"]
    facts = [f"<li>{esc(text)}</li>" for text in verdict.details]
    facts += [f'<li class="caution">{esc(text)}</li>' for text in cautions]
    lines += [f'<ul class="facts">{"".join(facts)}</ul>'] if facts else []
    table = scenario_table(runs, comparisons)
    for part in table.parts() if table.rows else ():
        lines += [f"<h3>{esc(part.title)}</h3>", table_element(part)]
    tuned = tuning_table(runs)
    lines += [f"<h3>{esc(tuned.title)}</h3>", table_element(tuned)] if tuned.rows else []
    predictions = prediction_table(runs)
    lines += [f"<h3>{esc(predictions.title)}</h3>", table_element(predictions)] if predictions else []
    lines += [command_list(commands(runs))]
    figures = [figure_element(f"s{index}-{drawing.name}", drawing) for drawing in drawings(runs, comparisons)]
    return "\n".join([*lines, '<div class="figures">', *figures, "</div>\n</section>"])


def _problems_section(runs: Runs) -> str:
    if not runs.problems:
        return ""
    lines = "".join(f"<li>{esc(problem)}</li>" for problem in runs.problems)
    return f'<section id="problems">\n<h2>Problems in the run folders</h2>\n<ul class="facts">{lines}</ul>\n</section>'


def _environment_section(folders: Sequence[LoadedFolder]) -> str:
    lines = ['<section id="environment">', "<h2>Environment</h2>"]
    for folder in folders:
        lines.append(f"<h3>{esc(folder.name)}</h3>")
        lines += [session_list(session) for session in folder.sessions] or ["<p class='soft'>Not recorded.</p>"]
    return "\n".join([*lines, "</section>"])
