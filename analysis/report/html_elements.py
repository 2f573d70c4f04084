"""Elements of the HTML page, with everything from a run folder escaped."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from absgd.counts import plural
from absgd.terminal import printable
from analysis.figures.figure_style import Drawing
from analysis.report.report_tables import ReportTable


def esc(text: object) -> str:
    """Escape text for HTML, control characters too; cut very long lines."""
    return html.escape(printable(str(text)), quote=True)


def json_in_script(data: Any) -> str:
    r"""Return JSON that is safe inside a script element, whatever its content.

    >>> json_in_script("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def table_element(table: ReportTable) -> str:
    """Return a table whose headers sort it, with its note."""
    classes = [' class="number"' if table.is_numeric(column) else "" for column in range(len(table.columns))]
    heads = "".join(
        f'<th scope="col"{kind}><button type="button">{esc(name)}</button></th>'
        for name, kind in zip(table.columns, classes, strict=True)
    )
    rows = []
    for row in table.rows:
        cells = [
            f"<td{kind or _class_of(cell.text)}{_sort_key(cell.value)}>{esc(cell.text)}</td>"
            for cell, kind in zip(row, classes, strict=True)
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    body = "\n".join(rows)
    grid = f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    note = f'\n<p class="soft">{esc(table.note)}</p>' if table.note else ""
    return f'<div class="scroll" tabindex="0">{grid}</div>{note}'


_LONG = 40
"""Letters of a cell whose text is wrapped."""


def _class_of(text: str) -> str:
    return ' class="long"' if len(text) > _LONG else ""


def _sort_key(value: float | str | None) -> str:
    if value is None:
        return ""
    return f' data-sort="{"" if value != value else esc(repr(value))}"'


def figure_element(name: str, drawing: Drawing) -> str:
    """Return a figure with its caption; `name` is the id of its data on the page."""
    data = json_in_script(drawing.plot.to_dict())
    height = drawing.plot.layout["height"]
    caption = f"<h3>{esc(drawing.title)}</h3>\n<p>{esc(drawing.caption)}</p>"
    return (
        f"<figure>\n<figcaption>{caption}</figcaption>\n"
        f'<div class="plot" data-figure="{esc(name)}" style="height:{height}px" role="img" '
        f'aria-label="{esc(drawing.title)}"></div>\n'
        f'<script type="application/json" id="{esc(name)}">{data}</script>\n</figure>'
    )


def command_list(found: Sequence[str]) -> str:
    """Return the commands that train the best configuration again, folded up; empty if there are none."""
    if not found:
        return ""
    text = esc("\n".join(found))
    summary = "<summary>Train the best configuration again</summary>"
    return f"<details>\n{summary}\n<pre><code>{text}</code></pre>\n</details>"


def session_list(session: Mapping[str, Any]) -> str:
    """Return the facts that environment.json records of a session; any JSON is accepted."""
    packages, gpus = session.get("packages"), session.get("gpus")
    named = packages.items() if isinstance(packages, dict) else ()
    facts = {
        "command": session.get("command"),
        "started": session.get("started_at"),
        "commit": session.get("git_sha"),
        "Python": session.get("python"),
        "packages": ", ".join(f"{name} {version}" for name, version in named if version),
        "platform": session.get("platform"),
        "processor": _processor(session),
        "GPUs": ", ".join(map(str, gpus)) if isinstance(gpus, list) else gpus,
    }
    rows = "".join(f"<dt>{esc(name)}</dt><dd>{esc(value)}</dd>" for name, value in facts.items() if value)
    return f"<dl>{rows}</dl>"


def _processor(session: Mapping[str, Any]) -> str | None:
    """Return the processor with its cores; any JSON is accepted."""
    cores = session.get("cpu_count")
    count = plural(cores, "core") if isinstance(cores, int) else "? cores"
    return f"{session['cpu']}, {count}" if session.get("cpu") else None
