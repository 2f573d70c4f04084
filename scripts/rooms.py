#!/usr/bin/env python
"""Print the table of rooms: what each package holds, its modules and lines. `--write` puts it into CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("absgd", "tune_runs", "analysis", "benchmarks")
PAGE = ROOT / "CONTRIBUTING.md"
TABLE = re.compile(r"(?<=<!-- rooms -->\n).*?(?=<!-- /rooms -->)", re.DOTALL)
"""The table in CONTRIBUTING.md, between its two markers."""


def rooms() -> Iterator[tuple[str, list[Path]]]:
    """Yield each room and its modules: the modules of a package itself, then each of its sub-packages."""
    for package in PACKAGES:
        folder = ROOT / package
        yield f"{package}/", sorted(folder.glob("*.py"))
        for room in sorted(path.parent for path in folder.glob("*/__init__.py")):
            yield f"{package}/{room.name}/", sorted(room.rglob("*.py"))


def sentence(module: Path) -> str:
    """Return the first paragraph of a module's docstring, on one line."""
    docstring = ast.get_docstring(ast.parse(module.read_text())) or ""
    return " ".join(docstring.split("\n\n")[0].split())


def table() -> str:
    """Return the rooms as a Markdown table; `__init__` modules count only by their lines."""
    rows = ["| room | holds | modules | lines |", "|---|---|---:|---:|"]
    for name, modules in rooms():
        count = sum(module.name != "__init__.py" for module in modules)
        lines = sum(len(module.read_text().splitlines()) for module in modules)
        rows.append(f"| `{name}` | {sentence(modules[0].parent / '__init__.py')} | {count} | {lines:,} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        text = PAGE.read_text()
        PAGE.write_text(TABLE.sub(lambda _: table(), text))
    else:
        sys.stdout.write(table())
