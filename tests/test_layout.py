"""The layout of the tests: helpers are modules of tests/support, and the folders mirror the packages."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "tests").rglob("*.py"))
PACKAGES = ("absgd", "analysis", "benchmarks", "tune_runs")


def imported(path: Path) -> set[str]:
    """Every module that a file imports, and every name that it imports from one, dotted."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def test_no_module_imports_a_test_module() -> None:
    for path in MODULES:
        parts = [part for name in imported(path) for part in name.split(".") if name.startswith("tests.")]
        assert not [part for part in parts if part.startswith("test_") or part == "conftest"], path


@pytest.mark.parametrize("floor", ["tests", "tests/system"])
@pytest.mark.parametrize("package", PACKAGES)
def test_folders_of_tests_mirror_the_packages(floor: str, package: str) -> None:
    tests = ROOT / floor / package
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    assert not [folder for folder in folders if not (ROOT / package / folder).is_dir()]
