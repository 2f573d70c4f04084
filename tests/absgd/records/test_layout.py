"""The names of files and folders are written in `absgd.records.layout` only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from absgd.records import layout

ROOT = Path(__file__).parents[3]
MODULES = sorted(
    path
    for package in ("absgd", "tune_runs", "analysis")
    for path in (ROOT / package).rglob("*.py")
    if path != Path(layout.__file__)
)
FOLDERS = {"best", "errors", "trunks", "checkpoints", layout.SCENARIOS_FOLDER, layout.EVENTS_FOLDER}
FILES = {value for name, value in vars(layout).items() if name.endswith(("_FILE", "_CHECKPOINT"))}


def literals(tree: ast.AST) -> Iterator[str]:
    """Literal texts that are a file of ours, and those that are joined to a path and are a folder of ours."""
    parts = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in FILES and node not in parts:
            yield str(node.value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            yield from [node.right.value] if node.right.value in FOLDERS else []
        if isinstance(node, ast.JoinedStr) and "epoch-" in ast.unparse(node) and ".pt" in ast.unparse(node):
            yield ast.unparse(node)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_module_writes_the_name_of_a_file_or_folder(path: Path) -> None:
    assert list(literals(ast.parse(path.read_text()))) == []


def test_the_names_are_looked_for() -> None:
    code = 'folder / "best" / "study.journal", f"epoch-{1:04d}.pt"'
    assert sorted(literals(ast.parse(code))) == sorted(["best", "study.journal", "f'epoch-{1:04d}.pt'"])


@pytest.mark.parametrize("name", sorted(FILES - {layout.ID_FILE, layout.LOCK_FILE, layout.REPORT_FILE}))
def test_a_temporary_file_of_any_file_is_known_as_unfinished(name: str) -> None:
    assert layout.is_unfinished(layout.unfinished_prefix(name) + "a1_b2c3d")
    assert not layout.is_unfinished(name)


def test_snapshots_are_found_by_their_names(tmp_path: Path) -> None:
    for epoch in (160, 9, 12345):
        (tmp_path / layout.snapshot_file(epoch)).touch()
    (tmp_path / "epoch-x.pt").touch()
    assert layout.snapshot_epochs(tmp_path) == [9, 160, 12345]
