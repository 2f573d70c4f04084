"""The test set is looked for before anything is trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from absgd.config import RunConfig
from absgd.datasets import check_test_set
from absgd.errors import UserError
from tests.support.small_files import write_imagefolder


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    write_imagefolder(tmp_path, 2, 4)
    data = {"name": "imagefolder", "root": str(tmp_path), "val_per_class": 1}
    return RunConfig.from_dict({"data": data, "loss": {"name": "ce"}})


def test_whole_test_set_passes(config: RunConfig) -> None:
    check_test_set(config)
    check_test_set(config.with_values({"data.name": "digits", "data.root": None}))


def test_missing_test_set_is_refused(config: RunConfig, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "test")
    with pytest.raises(UserError, match=r"expected the folder .*test"):
        check_test_set(config)


def test_broken_test_image_is_named_unless_such_are_left_out(config: RunConfig, tmp_path: Path) -> None:
    broken = next((tmp_path / "test" / "class_1").iterdir())
    broken.write_bytes(b"no image")
    with pytest.raises(UserError, match=f"a file that is not an image, or of a kind that is not supported: {broken}"):
        check_test_set(config)
    with pytest.warns(UserWarning, match="left out 1 broken image"):
        check_test_set(config.with_values({"data.on_bad_image": "skip"}))


def test_test_set_without_images_is_refused(config: RunConfig, tmp_path: Path) -> None:
    for path in (tmp_path / "test").glob("*/*"):
        path.unlink()
    with pytest.raises(UserError, match=r"expected .*image.*data\.root"):
        check_test_set(config)
