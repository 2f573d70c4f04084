"""Parts of your own: a network, a loss and a data set, for `--plugin docs/examples/own_parts.py`.

The network has the interface of a model of timm, the table that of Hugging Face's `datasets`; neither is needed here.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from absgd.datasets import Images
from absgd.errors import UserError
from absgd.losses import Criterion, cross_entropy
from absgd.models import SeededDropout
from absgd.plugins import Options, data_set, loss, model


class ConvMixer(nn.Module):
    """Patches, depthwise and pointwise convolutions, pooled features and a classifier, as timm's models are built."""

    def __init__(self, in_chans: int, num_classes: int, dim: int, depth: int, patch: int, drop_rate: float) -> None:
        super().__init__()
        self.num_features = dim
        self.stem = nn.Sequential(nn.Conv2d(in_chans, dim, patch, stride=patch), nn.GELU(), nn.BatchNorm2d(dim))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1, groups=dim), nn.GELU(), nn.BatchNorm2d(dim))
            for _ in range(depth)
        )
        self.mixers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(dim, dim, 1), nn.GELU(), nn.BatchNorm2d(dim)) for _ in range(depth)
        )
        self.head_drop = SeededDropout(drop_rate)  # not nn.Dropout: its draws could not be replayed
        self.head = nn.Linear(dim, num_classes)

    def forward_features(self, images_NCHW: Tensor) -> Tensor:
        found: Tensor = self.stem(images_NCHW)
        for block, mixer in zip(self.blocks, self.mixers, strict=True):
            found = mixer(found + block(found))
        return found

    def forward_head(self, features: Tensor) -> Tensor:
        logits_NK: Tensor = self.head(self.head_drop(features.mean((2, 3))))
        return logits_NK

    def forward(self, images_NCHW: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images_NCHW))


class MixerOptions(Options):
    width: int = Field(default=16, ge=4, le=1024)
    """Channels."""
    depth: int = Field(default=2, ge=1, le=32)
    """Blocks."""


@model("mixer", options=MixerOptions, dropout=True)
def build_mixer(config, in_channels, num_classes, side):
    patch = 2 if side % 2 == 0 else 1
    return ConvMixer(in_channels, num_classes, config.options.width, config.options.depth, patch, config.dropout)


class PolyOptions(Options):
    epsilon: float = Field(default=1.0, ge=-1, le=20)
    """Weight of 1 - p_y."""


class PolyLoss(Criterion):
    """Cross entropy plus epsilon (1 - p_y). Source: arXiv 2204.12511, equation 2."""

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, logits_BC: Tensor, labels_B: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
        p_B = F.softmax(logits_BC, dim=1).gather(1, labels_B[:, None]).squeeze(1)
        weights_B = 1 if class_weights_C is None else class_weights_C.to(logits_BC.dtype)[labels_B]
        return cross_entropy(logits_BC, labels_B, class_weights_C) + self.epsilon * weights_B * (1 - p_B)


@loss("poly", options=PolyOptions)
def build_poly(config, _class_counts):
    return PolyLoss(config.options.epsilon)


class LocalTable:
    """Rows `{"image": PIL image, "label": int}` of a parquet file, as `datasets.Dataset.to_parquet` writes it."""

    def __init__(self, path: Path) -> None:
        table = pq.read_table(path)
        self.features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        self._images, self._labels = table["image"].to_pylist(), table["label"].to_pylist()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> dict[str, object]:
        return {"image": Image.open(io.BytesIO(self._images[index]["bytes"])), "label": self._labels[index]}


@data_set("shapes", num_classes=4, channels=3, side=16, class_names=("disc", "square", "ring", "cross"), flip=True)
def read_shapes(config, part):
    path = Path(config.root or "data") / f"{part}.parquet"
    if not path.is_file():
        raise UserError(f"expected the table {path}, found none (data.root)")
    rows = LocalTable(path)
    pixels_NHWC = np.stack([np.asarray(rows[index]["image"].convert("RGB")) for index in range(len(rows))])
    labels_N = np.array([rows[index]["label"] for index in range(len(rows))], dtype=np.int64)
    return Images(np.ascontiguousarray(pixels_NHWC.transpose(0, 3, 1, 2)), labels_N)
