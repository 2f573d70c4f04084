"""A real search among pickle bombs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from rich.console import Console

from absgd import records
from tests.support.hostile import tree
from tests.support.pickle_bombs import bombs, plant_spares
from tests.support.ray_searches import small
from tune_runs.request.search_request import new_request, resume_request
from tune_runs.run_search import run_search


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "mark"
    assert not (tmp_path / "mark").exists(), "the bomb went off"


def test_search_writes_inside_its_folder_alone_and_resumes_past_bombs_in_every_folder(
    ray: None, tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    folder = tmp_path / "runs of é 日本 %20 #1?" / "x--..__"
    space = small(name=folder.name, num_trials=1, scenarios=[{"name": "-x" + "." * 60}])
    assert run_search(new_request(space, folder), Console(file=io.StringIO())) == "complete"
    assert tree(tmp_path) == sorted(["here", folder.parent.name, *_below(tmp_path, folder)])

    _ask_for_more(folder / records.SPACE_FILE, num_trials=2)
    snapshots = list(folder.rglob("epoch-*.pt"))
    assert snapshots
    for path in [*snapshots, folder / records.ENVIRONMENT_FILE, *folder.rglob(records.LABELS_FILE)]:
        path.write_bytes(bombs(mark)["checkpoint"])
    inner = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    assert any(place.parent.name == "checkpoints" for place in inner)
    for place in inner:
        plant_spares(place, mark)
    assert run_search(resume_request(folder), Console(file=io.StringIO())) == "complete"
    search = pd.read_parquet(folder / records.TRIALS_FILE).query("phase == 'search'")
    assert list(search.status) == ["completed", "completed"]
    assert tree(tmp_path) == sorted(["here", folder.parent.name, *_below(tmp_path, folder)])


def _below(root: Path, folder: Path) -> list[str]:
    return [str(folder.relative_to(root)), *(str(path.relative_to(root)) for path in folder.rglob("*"))]


def _ask_for_more(space_file: Path, num_trials: int) -> None:
    space = yaml.safe_load(space_file.read_text())
    space_file.write_text(yaml.safe_dump({**space, "num_trials": num_trials}))
