"""A search on a user's own images: an odd name reaches the records through Ray and the processes that read images."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from tests.support.small_files import write_imagefolder
from tests.support.tune_command import call, write


def test_broken_image_with_a_name_that_is_not_utf_8_is_in_every_row(
    ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images = write_imagefolder(tmp_path / "imgs", 2, 5)
    with open(os.fsencode(images) + b"/train/class_0/caf\xe9.png", "wb") as file:
        file.write(b"no image")
    data = {"name": "imagefolder", "root": "imgs", "val_per_class": 2, "side": 16, "workers": 1}
    attention = {"gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 1}
    write(
        Path("odd.yaml"),
        name="odd",
        base={"data": data, "model": {"name": "resnet8"}, "attention": attention, "epochs": 2},
        scenarios=[{}],
        search={"lam": {"low": 1, "high": 2}},
        num_trials=1,
        confirm=None,
    )
    done = call("--space", "odd.yaml")
    assert done.exit_code == 1, done.output
    trials = pd.read_parquet("runs/odd/trials.parquet")
    assert trials.status.tolist() == ["failed"] * 2
    assert trials.error.str.contains(rf"{images}/train/class_0/caf\xe9.png", regex=False).all()
