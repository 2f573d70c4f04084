"""A pickle planted in a run folder of absgd-train is never loaded: its mark never appears."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from absgd import records
from absgd.cli import app
from absgd.config import RunConfig
from absgd.errors import UserError
from absgd.models.pretrained_weights import read_weights
from absgd.training import RunFolder, load_checkpoint
from tests.support.pickle_bombs import bombs, plant_spares

CONFIG: dict[str, Any] = {
    "data": {"name": "digits", "val_per_class": 5, "n_max": 5},
    "model": {"name": "resnet8"},
    "loss": {"name": "ce"},
    "epochs": 1,
    "device": {"type": "cpu", "threads": 1},
}
FORMS = sorted(bombs(Path("mark")))


def call(*words: object) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in (0, 2), result.output
    return result


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one epoch."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    assert call("--config", folder / "c.yaml", "--out", folder / "run").exit_code == 0
    return folder / "run"


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "mark"
    assert not (tmp_path / "mark").exists(), "the bomb went off"


def test_bombs_go_off_where_they_are_loaded(tmp_path: Path) -> None:
    for form, load in {
        "pickle": pickle.loads,
        "line": pickle.loads,
        "checkpoint": lambda content: _torch_load(tmp_path, content),
        "old_torch": lambda content: _torch_load(tmp_path, content),
        "yaml": yaml.unsafe_load,
    }.items():
        load(bombs(tmp_path / form)[form])
        assert (tmp_path / form).is_dir(), form


def _torch_load(folder: Path, content: bytes) -> None:
    (folder / "file").write_bytes(content)
    torch.load(folder / "file", weights_only=False)


@pytest.mark.parametrize("form", FORMS)
def test_bomb_in_place_of_any_file_of_a_run_is_not_loaded(
    finished: Path, tmp_path: Path, mark: Path, form: str
) -> None:
    names = sorted(path.name for path in finished.iterdir())
    assert {records.LAST_CHECKPOINT, records.BEST_CHECKPOINT, records.TRIALS_FILE, records.CONFIG_FILE} <= set(names)
    for name in names:
        run = tmp_path / "run"
        shutil.copytree(finished, run)
        (run / name).write_bytes(bombs(mark)[form])
        call("--resume", run)
        call("--config", run / name, "--show")
        _open_in_every_way(run / name)
        shutil.rmtree(run)


def _open_in_every_way(path: Path) -> None:
    """Each of our readers on a file, whatever its name."""
    for read in (
        load_checkpoint,
        read_weights,
        RunConfig.from_yaml,
        lambda it: RunFolder.open(it.parent),
        lambda it: records.read_rows(it, records.TRIAL_SCHEMA),
        lambda it: records.read_rows(it, records.EPOCH_SCHEMA),
    ):
        try:
            read(path)
        except UserError:
            continue


def test_checkpoint_with_a_bomb_and_the_right_checksum_is_refused(finished: Path, tmp_path: Path, mark: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / records.LAST_CHECKPOINT).write_bytes(bombs(mark)["checkpoint"])
    result = call("--resume", run)
    assert result.exit_code == 2
    assert "last.pt was not written by absgd-tune" in result.output


def test_weights_with_a_bomb_are_refused(tmp_path: Path, mark: Path) -> None:
    for form in FORMS:
        (tmp_path / "w.pth").write_bytes(bombs(mark)[form])
        with pytest.raises(UserError, match=r"model.weights"):
            read_weights(tmp_path / "w.pth")


def test_bombs_under_other_names_are_not_loaded(finished: Path, tmp_path: Path, mark: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    assert plant_spares(run, mark)
    assert call("--resume", run, "--test").exit_code == 0


def test_parquet_with_a_pickled_type_is_plain_rows_to_us_and_to_pandas(tmp_path: Path, mark: Path) -> None:
    for form, schema in (("trials", records.TRIAL_SCHEMA), ("epochs", records.EPOCH_SCHEMA)):
        (tmp_path / "t.parquet").write_bytes(bombs(mark)[form])
        assert records.read_rows(tmp_path / "t.parquet", schema) == []
        assert list(pd.read_parquet(tmp_path / "t.parquet").columns) == schema.names
