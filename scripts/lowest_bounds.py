#!/usr/bin/env python
"""Print the lower bounds of the dependencies, or of those named, as constraints of pip: see LOWEST in `.ci/run`."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[^]]*\])?>=(?P<bound>[\w.]+)")


def lowest(requirement: str) -> str:
    """Return the constraint to the lower bound of a requirement.

    >>> lowest("ray[tune]>=2.50,<2.61")
    'ray==2.50'
    """
    found = _REQUIREMENT.match(requirement)
    assert found, f"{requirement} has a lower bound"
    return f"{found['name']}=={found['bound']}"


def constraints(project: Path, names: Sequence[str] = ()) -> list[str]:
    """Return the constraints to the lower bounds of the dependencies in a pyproject.toml, of its extras too.

    Tools of developers, which users do not install, are left out.

    Args:
        project: the pyproject.toml.
        names: distributions; none: all.
    """
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = table["optional-dependencies"]
    every = [lowest(one) for one in (*table["dependencies"], *extras["dashboard"], *extras["figures"])]
    chosen = [one for one in every if not names or one.split("==")[0] in names]
    assert len(chosen) >= len(names), f"each of {names} is a dependency"
    return chosen


if __name__ == "__main__":
    print("\n".join(constraints(Path(__file__).parents[1] / "pyproject.toml", sys.argv[1:])))
