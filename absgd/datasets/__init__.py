"""Data sets: reading, imbalance, noise, splits, and batches on the training device."""

from absgd.datasets.batches import Batch, Batches
from absgd.datasets.build import DATASETS, DatasetSpec
from absgd.datasets.images import Images
from absgd.datasets.imbalance import class_counts, subsample
from absgd.datasets.noise import NoisyLabels, add_noise
from absgd.datasets.splits import SplitIndices, Splits, load_splits, load_test, split_indices

__all__ = [
    "DATASETS",
    "Batch",
    "Batches",
    "DatasetSpec",
    "Images",
    "NoisyLabels",
    "SplitIndices",
    "Splits",
    "add_noise",
    "class_counts",
    "load_splits",
    "load_test",
    "split_indices",
    "subsample",
]
