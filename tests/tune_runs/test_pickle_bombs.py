"""A pickle planted in a run folder of absgd-tune is never loaded, and nothing is written outside that folder."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from rich.console import Console
from typer.testing import CliRunner

from absgd import records
from absgd.errors import UserError
from absgd.records import STUDY_FILE
from tests.support.fake_tuner import FakeTuner, make_space, rising
from tests.support.hostile import tree
from tests.support.pickle_bombs import bombs, plant_spares
from tests.support.ray_searches import small
from tune_runs.cli import app
from tune_runs.request.search_request import new_request, resume_request
from tune_runs.run_search import run_search
from tune_runs.trunks.snapshots import Snapshots, newest

FORMS = sorted(bombs(Path("mark")))


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "mark"
    assert not (tmp_path / "mark").exists(), "the bomb went off"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "fake"
    FakeTuner(make_space(num_trials=2), folder, rising).run()
    (folder / records.SPACE_FILE).write_text(yaml.safe_dump(make_space(num_trials=2).to_dict()))
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_bomb_in_place_of_a_record_of_a_search_is_not_loaded(
    finished: Path, tmp_path: Path, mark: Path, form: str
) -> None:
    journal = f"scenarios/digits-exp-0.1/{STUDY_FILE}"
    for name in (records.TRIALS_FILE, records.EPOCHS_FILE, journal):
        folder = tmp_path / "fake"
        shutil.copytree(finished, folder)
        assert (folder / name).is_file()
        (folder / name).write_bytes(bombs(mark)[form])
        with suppress(UserError):
            FakeTuner(make_space(num_trials=2), folder, rising)
        shutil.rmtree(folder)


@pytest.mark.parametrize("form", FORMS)
def test_bomb_in_place_of_the_space_is_refused(finished: Path, tmp_path: Path, mark: Path, form: str) -> None:
    folder = tmp_path / "fake"
    shutil.copytree(finished, folder)
    (folder / records.SPACE_FILE).write_bytes(bombs(mark)[form])
    for words in (["--resume", str(folder)], ["--space", str(folder / records.SPACE_FILE), "--preview"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("absgd-tune: error: ")


@pytest.mark.parametrize("form", FORMS)
def test_bomb_in_place_of_a_snapshot_is_refused(tmp_path: Path, mark: Path, form: str) -> None:
    trunk = Snapshots(tmp_path, {"format": "2"})
    trunk.path(2).write_bytes(bombs(mark)[form])
    with pytest.raises(UserError, match=r"epoch-0002\.pt"):
        trunk.load(2)
    ((_, found),) = newest([(trunk, 3)], torch.device("cpu"))
    assert isinstance(found, UserError)


def test_search_writes_inside_its_folder_alone_and_resumes_past_bombs_in_every_folder(
    ray: None, tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    folder = tmp_path / "runs of é 日本 %20 #1?" / "x--..__"
    space = small(name=folder.name, num_trials=1, scenarios=[{"name": "-x" + "." * 60}])
    assert run_search(new_request(space, folder), Console(file=io.StringIO()))
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
    assert run_search(resume_request(folder), Console(file=io.StringIO()))
    search = pd.read_parquet(folder / records.TRIALS_FILE).query("phase == 'search'")
    assert list(search.status) == ["completed", "completed"]
    assert tree(tmp_path) == sorted(["here", folder.parent.name, *_below(tmp_path, folder)])


def _below(root: Path, folder: Path) -> list[str]:
    return [str(folder.relative_to(root)), *(str(path.relative_to(root)) for path in folder.rglob("*"))]


def _ask_for_more(space_file: Path, num_trials: int) -> None:
    space = yaml.safe_load(space_file.read_text())
    space_file.write_text(yaml.safe_dump({**space, "num_trials": num_trials}))
