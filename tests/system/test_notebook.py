"""docs/notebooks/results.ipynb starts its search and reads what it has found."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

from analysis import load
from tests.support.ray_searches import SMALL

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "results.ipynb"


def test_notebook_searches_and_reads_its_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "docs" / "notebooks"
    place.mkdir(parents=True)
    scenarios = [{"imbalance": {"type": "exp", "ratio": 0.1}}]
    small = {**SMALL, "name": "quickstart", "scenarios": scenarios, "num_trials": 6, "confirm": {"max_pairs": 2}}
    (place / "quickstart").write_text(yaml.safe_dump(small))  # a file takes precedence over the shipped space
    monkeypatch.setenv("PLOTLY_RENDERER", "json")  # its default renderers need a browser or notebook extensions
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": os.fspath(place)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=where).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in code)
    shown = ["".join(one.get("data", {}).get("text/plain", "")) for one in code[0].outputs]
    assert shown[0].startswith("quickstart: starting in ")
    assert sum("elapsed" in text for text in shown) == 1, "the table is one output, replaced in place"
    assert shown[-1] == "'complete'"
    assert (load(place / "runs" / "quickstart").trials.status == "completed").all()
