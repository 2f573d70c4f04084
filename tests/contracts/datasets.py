"""The contracts of our data sets: inherit one and supply `entry` and `config`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import pytest

from absgd.config import RunConfig
from absgd.datasets import DatasetSpec, ImageFiles, load_splits
from absgd.testing.dataset_tests import CPU, DatasetTests, dataset_config

__all__ = ["CPU", "DatasetContract", "DiskDatasetContract", "dataset_config"]


class DatasetContract(DatasetTests):
    """`DatasetTests` of one of our data sets."""

    @pytest.fixture
    def config(self) -> RunConfig:
        raise NotImplementedError("expected the fixture `config` in the class that inherits DatasetContract")


class DiskDatasetContract(DatasetContract):
    """Tests that every data set on disk passes; its second fixture, `num_classes`, counts the classes in the files."""

    @pytest.fixture
    def num_classes(self) -> int:
        raise NotImplementedError("expected the fixture `num_classes` in the class that inherits DiskDatasetContract")

    def test_hash_follows_the_paths(
        self, config: RunConfig, spec: DatasetSpec, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = load_splits(config).hash
        read = resolve_name(spec.reader)

        def renamed(data: Any, part: Any) -> ImageFiles:
            images: Any = read(data, part)
            return dataclasses.replace(images, paths_N=np.char.add(images.paths_N, b"x"))

        monkeypatch.setattr(spec.reader.replace(":", "."), renamed)
        assert load_splits(config).hash != before

    def test_hash_does_not_depend_on_the_folder(self, config: RunConfig, tmp_path: Path) -> None:
        assert config.data.root is not None
        moved = tmp_path / "elsewhere"
        moved.symlink_to(config.data.root)
        assert load_splits(config.with_values({"data.root": str(moved)})).hash == load_splits(config).hash
