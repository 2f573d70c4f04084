"""Tables of a page of Markdown that a benchmark replaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def with_tables(page: str, tables: Mapping[str, Sequence[str]]) -> str:
    """Replace what stands between `<!-- NAME -->` and `<!-- /NAME -->`; tables that a page does not have are left out.

    >>> with_tables("<!-- a -->\\nold\\n<!-- /a -->\\nrest", {"a": ["new"], "b": ["unused"]})
    '<!-- a -->\\nnew\\n<!-- /a -->\\nrest'
    """
    for name, lines in tables.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, found, rest = page.partition(start)
        if found:
            page = before + start + "\n".join(lines) + "\n" + end + rest.partition(end)[2]
    return page
