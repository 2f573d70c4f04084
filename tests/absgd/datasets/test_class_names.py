"""Classes have the names of their folders, or the published ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from absgd.config.sections import DataConfig
from absgd.datasets import class_names, numbered
from absgd.registry.dataset_table import DATASETS
from tests.support.small_files import write_imagefolder, write_tiny_imagenet


@pytest.mark.parametrize("name", [name for name, spec in DATASETS.items() if spec.class_names])
def test_every_published_class_has_one_name(name: str) -> None:
    spec = DATASETS[name]
    assert len(set(spec.class_names)) == len(spec.class_names) == spec.num_classes
    assert class_names(DataConfig(name=name), 2) == spec.class_names[:2]


def test_names_are_those_of_the_folders(tmp_path: Path) -> None:
    root = write_imagefolder(tmp_path, 2, 1)
    os.rename(root / "train" / "class_1", os.fsencode(root / "train") + b"/r\xe9\n")
    assert class_names(DataConfig(name="imagefolder", root=str(root)), 2) == ("class_0", "r\\xe9\\n")


def test_identifiers_of_tiny_imagenet(tmp_path: Path) -> None:
    root = write_tiny_imagenet(tmp_path, 3, 1)
    wnids = (root / "tiny-imagenet-200" / "wnids.txt").read_text().split()
    assert class_names(DataConfig(name="tiny_imagenet", root=str(root)), 3) == tuple(wnids)


def test_classes_without_names_have_numbers() -> None:
    assert class_names(DataConfig(name="imagenet_lt"), 3) == ("0", "1", "2")
    assert numbered(tuple(map(str, range(20))), range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..."
