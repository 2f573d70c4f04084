"""Data sets: readers, imbalance, noise, splits, and batches on the training device. For `absgd.training`, the search
and users' own training loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from absgd.datasets.batches import Batch, Batches
from absgd.datasets.build_batches import BatchesOf, BatchSource, build_batches
from absgd.datasets.class_names import class_names, numbered
from absgd.datasets.class_sizes import class_sizes
from absgd.datasets.common_batches import CommonImages
from absgd.datasets.disk_batches import DiskBatches
from absgd.datasets.fingerprint import fingerprint
from absgd.datasets.image_files import ImageFiles
from absgd.datasets.images import Images
from absgd.datasets.imbalance import class_counts, subsample
from absgd.datasets.noise import NoisyLabels, add_noise
from absgd.datasets.registered_dataset import read_part
from absgd.datasets.splits import SplitIndices, Splits, load_splits, load_test, split_indices
from absgd.datasets.test_set_check import check_test_set
from absgd.registry.dataset_table import DATASETS, DatasetSpec

if TYPE_CHECKING:
    from absgd.datasets.published_cifar import IMBALANCECIFAR10, IMBALANCECIFAR100

__all__ = [
    "DATASETS",
    "IMBALANCECIFAR10",
    "IMBALANCECIFAR100",
    "Batch",
    "BatchSource",
    "Batches",
    "BatchesOf",
    "CommonImages",
    "DatasetSpec",
    "DiskBatches",
    "ImageFiles",
    "Images",
    "NoisyLabels",
    "SplitIndices",
    "Splits",
    "add_noise",
    "build_batches",
    "check_test_set",
    "class_counts",
    "class_names",
    "class_sizes",
    "fingerprint",
    "load_splits",
    "load_test",
    "numbered",
    "read_part",
    "split_indices",
    "subsample",
]


def __getattr__(name: str) -> Any:
    """The published package's data sets, imported when first used: importing torchvision is slow."""
    if name not in ("IMBALANCECIFAR10", "IMBALANCECIFAR100"):
        raise AttributeError(f"module 'absgd.datasets' has no attribute {name!r}")
    from absgd.datasets import published_cifar

    return getattr(published_cifar, name)
