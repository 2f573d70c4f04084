"""A plugin as text, and variations of it that are wrong in one way each."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from absgd.plugins import load_plugin
from absgd.registry.plugin_table import Plugin

PARTS = '''
import numpy as np
from pydantic import Field
from torch import Tensor, nn

from absgd.losses import Criterion, cross_entropy
from absgd.plugins import Options, data_set, loss, model


class NetOptions(Options):
    width: int = Field(default=4, ge=1)
    """Channels."""


@model("net", options=NetOptions)
def build_net(config, in_channels, num_classes, side):
    width = config.options.width
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(width * side**2, num_classes)
    )


class SharpOptions(Options):
    power: float = 1.5
    kind: str = "soft"


class Sharp(Criterion):
    def __init__(self, power):
        super().__init__()
        self.power = power

    def forward(self, logits_BC, labels_B, class_weights_C=None):
        return cross_entropy(self.power * logits_BC, labels_B, class_weights_C)


@loss("sharp", options=SharpOptions)
def build_sharp(config, class_counts):
    return Sharp(config.options.power)


@data_set("stripes", num_classes=3, channels=1, side=8)
def read_stripes(config, part):
    generator = np.random.default_rng(0 if part == "train" else 1)
    labels = np.repeat(np.arange(3), 40 if part == "train" else 10)
    noise = generator.integers(60, size=(len(labels), 1, 8, 8))
    return (noise + 60 * labels[:, None, None, None]).astype(np.uint8), labels
'''
FILES = """
import csv
from pathlib import Path

import numpy as np

from absgd.datasets import ImageFiles
from absgd.plugins import Options, data_set


class ListOptions(Options):
    column: str = "label"


@data_set("listed", num_classes=2, channels=3, side=8, in_memory=False, crop="padded", options=ListOptions)
def read_listed(config, part):
    root = Path(config.root)
    rows = list(csv.DictReader((root / f"{part}.csv").open()))
    labels = np.array([int(row[config.options.column]) for row in rows])
    paths = np.array([row["path"].encode() for row in rows])
    return ImageFiles(root, paths, labels, np.arange(2, len(rows) + 2), root / f"{part}.csv", NUM_CLASSES)
"""
"""A data set of two classes in files, whose `ImageFiles` say that they have NUM_CLASSES."""
RUN: dict[str, Any] = {
    "data": {"name": "stripes", "val_per_class": 5},
    "model": {"name": "net", "options": {"width": 3}},
    "loss": {"name": "absharp"},
    "attention": {"lam": 5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 1},
    "epochs": 2,
    "batch_size": 16,
    "device": {"type": "cpu", "threads": 1},
}


def written(folder: Path, text: str = PARTS, name: str = "parts.py") -> Path:
    """Write a plugin and return its file."""
    path = folder / name
    path.write_text(text)
    return path


def loaded(folder: Path, text: str = PARTS, name: str = "parts.py") -> Plugin:
    """Write a plugin and load it."""
    return load_plugin(written(folder, text, name))


def write_listed_images(folder: Path) -> None:
    """Write the files of FILES: twenty training images of each class and five test images, with their lists."""
    for part, num in (("train", 20), ("test", 5)):
        rows = ["path,kind"]
        for label, number in itertools.product(range(2), range(num)):
            pixels = np.full((8, 8, 3), 200 * label + number, dtype=np.uint8)
            pixels[0, 0] = 255 if part == "test" else 0
            Image.fromarray(pixels).save(folder / f"{part}-{label}-{number}.png")
            rows.append(f"{part}-{label}-{number}.png,{label}")
        (folder / f"{part}.csv").write_text("\n".join(rows))


def installed(folder: Path) -> None:
    """Write the plugin as a module with the metadata of a distribution that has its model as an entry point."""
    written(folder, name="own_package.py")
    metadata = folder / "own_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[absgd.models]\nnet = own_package:build_net\n")
