"""absgd-train on a user's own images, called in this process: odd files, odd names, and folders of earlier versions."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from absgd.cli import app
from tests.support.small_files import write_imagefolder

CONFIG: dict[str, Any] = {
    "data": {"name": "imagefolder", "root": "imgs", "val_per_class": 2, "side": 16, "workers": 0},
    "model": {"name": "resnet8"},
    "loss": {"name": "ce"},
    "epochs": 1,
    "device": {"type": "cpu", "threads": 1},
}


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(CONFIG))
    return write_imagefolder(tmp_path / "imgs", 2, 4)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def train(*settings: str) -> Result:
    return call("--config", "run.yaml", "--out", "run", *(f"--set={setting}" for setting in settings))


def recorded() -> Any:
    return pd.read_parquet("run/trials.parquet").iloc[0]


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_image_with_a_name_that_is_not_utf_8_is_named_and_recorded(images: Path, workers: int) -> None:
    with open(os.fsencode(images) + b"/train/class_0/caf\xe9.png", "wb") as file:
        file.write(b"no image")
    result = train(f"data.workers={workers}")
    assert result.exit_code == 2, result.output
    named = rf"{images}/train/class_0/caf\xe9.png"
    assert f"got a file that is not an image, or of a kind that is not supported: {named}; " in result.output
    assert recorded().status == "failed"
    assert named in recorded().error


def test_names_that_are_not_utf_8_train(images: Path) -> None:
    os.rename(images / "train" / "class_0", os.fsencode(images) + b"/train/caf\xe9")
    os.rename(images / "test" / "class_0", os.fsencode(images) + b"/test/caf\xe9")
    result = call("--config", "run.yaml", "--out", "run", "--test")
    assert result.exit_code == 0, result.output
    assert recorded().status == "completed"


def test_16_bit_images_train_as_the_same_images_of_8_bits(images: Path) -> None:
    for path in images.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    assert train().exit_code == 0
    before = pd.read_parquet("run/epochs.parquet")
    shutil.rmtree("run")
    for path in images.rglob("*.png"):
        values = np.asarray(Image.open(path))
        Image.fromarray(values.astype(np.uint16) * 257).save(path)
    assert train().exit_code == 0
    after = pd.read_parquet("run/epochs.parquet")
    assert (after.train_loss[0], after.val_loss[0]) == (before.train_loss[0], before.val_loss[0])


def test_image_that_8_bits_cannot_hold_is_refused_or_left_out_with_a_count(images: Path) -> None:
    path = next((images / "train" / "class_0").iterdir()).with_name("float.tiff")
    Image.fromarray(np.random.default_rng(0).random((20, 20), np.float32)).save(path)
    refused = train()
    assert refused.exit_code == 2
    assert "got an image that 8 bits cannot hold: 400 grey values from " in refused.output
    shutil.rmtree("run")
    left_out = train("data.on_bad_image=skip")
    assert left_out.exit_code == 0, left_out.output
    assert "train: left out 1 image that 8 bits cannot hold; 8 images remain" in left_out.output


def test_odd_things_in_folders_are_passed_over_and_said(images: Path) -> None:
    (images / "train" / "class_0" / "latest").symlink_to(".")
    os.mkfifo(images / "train" / "class_1" / "f.png")
    shutil.copytree(images / "train" / "class_1", images / "train" / "class_1" / "@eaDir", ignore=lambda *_: ["f.png"])
    result = train()
    assert result.exit_code == 0, result.output
    assert (
        f"warning: {images}/train: passed over 1 link to a folder around it (train/class_0/latest); "
        "1 hidden or system folder (train/class_1/@eaDir); 1 pipe, socket or device (train/class_1/f.png)\n"
    ) in result.output
    assert list(recorded().class_counts) == [2, 2]


def test_duplicates_are_refused_before_training(images: Path) -> None:
    source = next((images / "train" / "class_0").iterdir())
    shutil.copy(source, images / "train" / "class_1" / "copy.png")
    result = train()
    assert result.exit_code == 2
    assert "got 1 image given again, 1 with two labels" in result.output
    assert not Path("run").exists()
    assert "kept 1 image given again, 1 with two labels" in train("data.on_duplicate=keep").output


def test_run_of_a_version_without_on_duplicate_resumes_with_its_duplicates(images: Path) -> None:
    source = next((images / "train" / "class_0").iterdir())
    shutil.copy(source, images / "train" / "class_1" / "copy.png")
    assert train("data.on_duplicate=keep").exit_code == 0
    whole = pd.read_parquet("run/epochs.parquet")
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    del config["data"]["on_duplicate"]
    Path("run/config.yaml").write_text(yaml.safe_dump(config))
    pd.read_parquet("run/trials.parquet").drop(columns="on_duplicate").to_parquet("run/trials.parquet")
    resumed = call("--resume", "run")
    assert resumed.exit_code == 0, resumed.output
    assert "kept 1 image given again" in resumed.output
    assert pd.read_parquet("run/epochs.parquet").val_loss[0] == whole.val_loss[0]
