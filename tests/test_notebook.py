"""docs/notebooks/results.ipynb runs on a run folder, and the outputs it is shipped with are whole and small."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support import run_folders

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebooks" / "results.ipynb"
MAX_BYTES = 300_000


def test_notebook_runs_on_a_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folders.confirmed(tmp_path / "runs" / "quickstart")
    (tmp_path / "docs" / "notebooks").mkdir(parents=True)
    monkeypatch.setenv("PLOTLY_RENDERER", "json")  # its default renderers need a browser or notebook extensions
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": os.fspath(tmp_path / "docs" / "notebooks")}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=place).execute()
    assert all(cell.outputs for cell in notebook.cells if cell.cell_type == "code")


def test_stored_outputs_are_complete_and_small() -> None:
    text = NOTEBOOK.read_text()
    assert len(text) < MAX_BYTES
    assert not re.search(r"(?<![\w.:/])/(home|root|tmp|work|Users)/", text)
    code = [cell for cell in nbformat.reads(text, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert all(cell.outputs for cell in code)
    assert not any(output.output_type == "error" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
