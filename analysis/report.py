"""The report: one self-contained HTML file that works offline, with everything from run folders escaped."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from absgd.terminal import printable
from analysis.figures import drawings
from analysis.numbers import plural
from analysis.output import write_text
from analysis.reproduce import commands
from analysis.style import Drawing
from analysis.tables import Table, overview, scenario_table
from analysis.verdict import Outcome, Verdict, verdicts

if TYPE_CHECKING:
    from analysis.folders import RunFolder
    from analysis.runs import Runs

LABELS: dict[Outcome, str] = {
    "better": "Better than plain training",
    "not distinguishable": "Not distinguishable",
    "worse": "Worse than a control",
    "control missing": "A control is missing",
    "unfinished": "Not confirmed yet",
    "one seed": "One seed: not a finding yet",
    "no control": "No control to compare with",
    "nothing finished": "Nothing to choose from",
}
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""The page may load nothing from anywhere."""


def write_report(runs: Runs, path: Path) -> None:
    """Write the report of some runs.

    Args:
        runs: from `analysis.load`.
        path: the HTML file; replaced whole. A pipe or a device is written into.

    Raises:
        UserError: if it is a folder.
        OSError: if it cannot be written.
    """
    write_text(path, report_html(runs))


def report_html(runs: Runs) -> str:
    """The report as text."""
    found, comparisons, cautions = verdicts(runs), runs.comparisons, runs.cautions()
    several = len({folder.name for folder in runs.folders}) > 1
    sections = [_overview_section(runs, found, comparisons)]
    titles = []
    for index, (one, verdict) in enumerate(zip(runs.scenarios(), found, strict=True)):
        titles.append(f"{verdict.scenario} ({verdict.folder})" if several else verdict.scenario)
        own = _of(comparisons, verdict)
        texts = _of(cautions, verdict).text.tolist()
        sections.append(_scenario_section(index, titles[-1], one, verdict, own, texts))
    sections += [_problems_section(runs), _environment_section(runs.folders)]
    return "\n".join(_page(runs, titles, sections))


def esc(text: object) -> str:
    """Text as HTML shows it; control characters as escapes, very long lines cut."""
    return html.escape(printable(str(text)), quote=True)


def json_in_script(data: Any) -> str:
    r"""JSON that a script element may hold, whatever it is of.

    >>> json_in_script("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _of(frame: pd.DataFrame, verdict: Verdict) -> pd.DataFrame:
    return frame[(frame.folder == verdict.folder) & (frame.scenario == verdict.scenario)]


@cache
def _asset(name: str) -> str:
    return (files("analysis") / "assets" / name).read_text(encoding="utf-8")


def _page(runs: Runs, titles: Sequence[str], sections: Sequence[str]) -> Iterator[str]:
    from plotly.offline import get_plotlyjs

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


_PHASES = {
    "search": ("search trial", ""),
    "control": ("control", ""),
    "confirm": ("run", " on fresh seeds"),
    "single": ("single run", ""),
}


def _overview_section(runs: Runs, found: Sequence[Verdict], comparisons: pd.DataFrame) -> str:
    table = overview(runs, found, comparisons)
    if len(found) == 1:
        return ""  # its one row is the scenario's own table
    return f'<section id="overview">\n<h2>{esc(table.title)}</h2>\n{_table(table)}\n</section>'


def _scenario_section(
    index: int, title: str, runs: Runs, verdict: Verdict, comparisons: pd.DataFrame, cautions: Sequence[str]
) -> str:
    kind = verdict.outcome if verdict.outcome in ("better", "worse") else "open"
    lines = [f'<section id="s{index}">', f"<h2>{esc(title)}</h2>", f'<div class="verdict {kind}">']
    lines += [f'<span class="label">{esc(LABELS[verdict.outcome])}</span>', f"<p>{esc(verdict.sentence)}</p>\n</div>"]
    facts = [f"<li>{esc(text)}</li>" for text in verdict.details]
    facts += [f'<li class="caution">{esc(text)}</li>' for text in cautions]
    lines += [f'<ul class="facts">{"".join(facts)}</ul>'] if facts else []
    table = scenario_table(runs, comparisons)
    lines += [f"<h3>{esc(table.title)}</h3>", _table(table)] if table.rows else []
    lines += [_commands(commands(runs))]
    figures = [_figure(f"s{index}-{drawing.name}", drawing) for drawing in drawings(runs, comparisons)]
    return "\n".join([*lines, '<div class="figures">', *figures, "</div>\n</section>"])


def _table(table: Table) -> str:
    numeric = [bool(table.rows) and all(isinstance(row[k].value, float) for row in table.rows) for k in
               range(len(table.columns))]  # fmt: skip
    classes = [' class="number"' if is_number else "" for is_number in numeric]
    heads = "".join(
        f'<th scope="col"{kind}><button type="button">{esc(name)}</button></th>'
        for name, kind in zip(table.columns, classes, strict=True)
    )
    rows = []
    for row in table.rows:
        cells = [
            f"<td{kind}{_sort_key(cell.value)}>{esc(cell.text)}</td>" for cell, kind in zip(row, classes, strict=True)
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    body = "\n".join(rows)
    grid = f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    return f'<div class="scroll" tabindex="0">{grid}</div>\n<p class="soft">{esc(table.note)}</p>'


def _sort_key(value: float | str | None) -> str:
    if value is None:
        return ""
    return f' data-sort="{"" if value != value else esc(repr(value))}"'


def _figure(name: str, drawing: Drawing) -> str:
    data = json_in_script(json.loads(drawing.figure.to_json(validate=False)))
    height = int(drawing.figure.layout.height)
    caption = f"<h3>{esc(drawing.title)}</h3>\n<p>{esc(drawing.caption)}</p>"
    return (
        f"<figure>\n<figcaption>{caption}</figcaption>\n"
        f'<div class="plot" data-figure="{esc(name)}" style="height:{height}px" role="img" '
        f'aria-label="{esc(drawing.title)}"></div>\n'
        f'<script type="application/json" id="{esc(name)}">{data}</script>\n</figure>'
    )


def _commands(found: Sequence[str]) -> str:
    if not found:
        return ""
    text = esc("\n".join(found))
    summary = "<summary>Train the best configuration again</summary>"
    return f"<details>\n{summary}\n<pre><code>{text}</code></pre>\n</details>"


def _problems_section(runs: Runs) -> str:
    if not runs.problems:
        return ""
    lines = "".join(f"<li>{esc(problem)}</li>" for problem in runs.problems)
    return f'<section id="problems">\n<h2>Not whole</h2>\n<ul class="facts">{lines}</ul>\n</section>'


def _environment_section(folders: Sequence[RunFolder]) -> str:
    lines = ['<section id="environment">', "<h2>Environment</h2>"]
    for folder in folders:
        lines.append(f"<h3>{esc(folder.name)}</h3>")
        lines += [_session(session) for session in folder.sessions] or ["<p class='soft'>Not recorded.</p>"]
    return "\n".join([*lines, "</section>"])


def _session(session: Mapping[str, Any]) -> str:
    packages, gpus = session.get("packages"), session.get("gpus")
    named = packages.items() if isinstance(packages, dict) else ()
    facts = {
        "command": session.get("command"),
        "started": session.get("started_at"),
        "commit": session.get("git_sha"),
        "Python": session.get("python"),
        "packages": ", ".join(f"{name} {version}" for name, version in named if version),
        "platform": session.get("platform"),
        "processor": f"{session['cpu']}, {session.get('cpu_count', '?')} cores" if session.get("cpu") else None,
        "GPUs": ", ".join(map(str, gpus)) if isinstance(gpus, list) else gpus,
    }
    rows = "".join(f"<dt>{esc(name)}</dt><dd>{esc(value)}</dd>" for name, value in facts.items() if value)
    return f"<dl>{rows}</dl>"
