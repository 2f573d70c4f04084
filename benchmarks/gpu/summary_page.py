"""The page of an hour, made anew from the records of its parts whenever one of them changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from absgd.records import write_atomically
from benchmarks.gpu.part_records import NOT_MEASURED, PartRecord, PartSection, read_records
from benchmarks.gpu.part_table import PARTS, HourPart

SUMMARY = "summary.md"


def write_summary(folder: Path) -> None:
    """Write the page of the records in `folder`."""
    write_atomically(folder / SUMMARY, "\n".join(summary_lines(read_records(folder))) + "\n")


def summary_lines(records: Mapping[int, PartRecord]) -> Iterator[str]:
    """Yield the lines of the page.

    Args:
        records: number -> record of the parts that have been started.
    """
    yield "# A GPU's first hour"
    yield ""
    if any(record.is_dry_run for record in records.values()):
        yield "**A dry run on a CPU at toy sizes: no number on this page says anything about a GPU.**"
        yield ""
    yield from _outcomes(records)
    for part in PARTS:
        yield from _part_lines(part, records.get(part.number))


def _outcomes(records: Mapping[int, PartRecord]) -> Iterator[str]:
    yield "| part | outcome | seconds | of at most | measured on | with | at |"
    yield "|---|---|---:|---:|---|---|---|"
    for part in PARTS:
        record = records.get(part.number)
        cells = [NOT_MEASURED, "", "", "", "", ""] if record is None else _outcome_cells(record)
        yield f"| {part.number}. {part.title} | {' | '.join(cells)} |"


def _outcome_cells(record: PartRecord) -> list[str]:
    about = record.environment
    packages = {"Python": about.get("python"), "torch": about.get("packages", {}).get("torch")}
    versions = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    gpus = [] if record.is_dry_run else about.get("gpus", [])
    commit = f", commit {about['git_sha'][:12]}" if about.get("git_sha") else ""
    return [
        f"**{record.status}**" if record.message else record.status,
        f"{record.wall_s:.0f}",
        f"{record.limit_s:.0f}",
        ", ".join(gpus) or str(about.get("cpu", "")),
        f"{versions}{commit}",
        str(about.get("started_at", "")),
    ]


def _part_lines(part: HourPart, record: PartRecord | None) -> Iterator[str]:
    yield ""
    yield f"## {part.number}. {part.title}"
    if record is None:
        yield ""
        yield f"{NOT_MEASURED.capitalize()}."
    elif record.message:
        yield ""
        yield f"**{record.status.capitalize()}**: {record.message}"
    sections = () if record is None else record.sections
    for section in sections:
        yield from _section_lines(section)
    if not any(section.verdicts for section in sections) and part.targets:
        yield ""
        yield from (f"- {NOT_MEASURED}: {target}" for target in part.targets)
    if record is not None and record.last_lines:
        yield ""
        yield "Last lines of its output:"
        yield from _as_text(record.last_lines)


def _section_lines(section: PartSection) -> Iterator[str]:
    yield ""
    yield f"### {section.title}"
    yield from _as_text(section.lines)
    if section.verdicts or section.faults:
        yield ""
    yield from (f"- {verdict}" for verdict in section.verdicts)
    yield from (f"- WRONG: {fault}" for fault in section.faults)


def _as_text(lines: tuple[str, ...]) -> Iterator[str]:
    """Yield lines as they are, inside a fence that no line of them closes."""
    yield ""
    yield "~~~text"
    yield from (line.replace("~~~", "~ ~ ~") for line in lines)
    yield "~~~"
