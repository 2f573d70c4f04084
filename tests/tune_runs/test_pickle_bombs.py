"""A pickle planted in a run folder of absgd-tune is never loaded, and nothing is written outside that folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from absgd import records
from absgd.errors import UserError
from absgd.records import STUDY_FILE
from tests.support.fake_tuner import FakeTuner, make_space, rising
from tests.support.pickle_bombs import bombs
from tune_runs.cli import app
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
    (found,) = newest([(trunk, 3)], torch.device("cpu"))
    assert isinstance(found, UserError)
