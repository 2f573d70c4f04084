"""Readers of the data sets that fit in memory; `train` and `test` are read from separate files or images."""

from __future__ import annotations

import http.client
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from absgd.config.sections import DataConfig
from absgd.datasets.cifar_format import read_cifar
from absgd.datasets.data_files import check_labels, check_side, data_root, locate, read_idx
from absgd.datasets.images import Images
from absgd.errors import UserError
from absgd.registry.dataset_table import DATASETS

DatasetPart = Literal["train", "test"]
"""Part of a data set: `train`, from which validation is cut, or `test`."""

DEBIAN_FASHION_MNIST = Path(DATASETS["fashion_mnist"].found_at[0])
DIGITS_FILE = "datasets/data/digits.csv.gz"
"""File of the digits inside scikit-learn."""
DIGITS_TEST_EVERY = 5
CIFAR_SIDE = 32
FASHION_MNIST_SIDE = 28


def read_digits(config: DataConfig, part: DatasetPart) -> Images:
    """scikit-learn's bundled 1,797 handwritten digits, 8 x 8, 0..16 spread over 0..255.

    Every fifth image of each class is a test image, whatever the seeds.

    Returns:
        images_NCHW (N, 1, 8, 8), grey.

    Source: scikit-learn `load_digits`, the test part of the UCI optical recognition data set.
    """
    for key, given in {"data.root": config.root is not None, "data.download": config.download}.items():
        if given:
            warnings.warn(f"data set `digits` comes with scikit-learn: `{key}` is not used", stacklevel=1)
    images_NP, labels_N = _bundled_digits()
    images_NCHW = np.rint(images_NP.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    rank_N = np.zeros_like(labels_N)
    for label in range(10):
        rank_N[labels_N == label] = np.arange((labels_N == label).sum())
    is_test_N = rank_N % DIGITS_TEST_EVERY == DIGITS_TEST_EVERY - 1
    return Images(images_NCHW, labels_N).take(np.flatnonzero(is_test_N if part == "test" else ~is_test_N))


def _bundled_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return pixels (N, 64) and labels of scikit-learn's digits.

    They are read from its file where that is found: for a short run, nothing but torch takes as long to import as
    scikit-learn.
    """
    installed = find_spec("sklearn")
    for folder in (installed and installed.submodule_search_locations) or ():
        if (file := Path(folder) / DIGITS_FILE).is_file():
            table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    pixels_NP, labels_N = load_digits(return_X_y=True)
    return pixels_NP, labels_N.astype(np.int64)


def read_fashion_mnist(config: DataConfig, part: DatasetPart) -> Images:
    """Fashion-MNIST from its idx files, gzipped or not.

    `data.root` is the folder of the files or torchvision's root of them. Without it they are searched where Debian's
    package dataset-fashion-mnist installs them, then in `data`.

    Returns:
        images_NCHW (N, 1, 28, 28), grey.

    Raises:
        UserError: if the files are absent, cannot be downloaded, or are damaged.

    Source: arXiv 1708.07747; torchvision `FashionMNIST` for the download.
    """
    prefix = "train" if part == "train" else "t10k"
    names = (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    root = data_root(config)
    folders = [root, root / "FashionMNIST" / "raw"]
    if config.root is None:
        folders.insert(0, DEBIAN_FASHION_MNIST)

    found = _located_or_downloaded("FashionMNIST", config, folders, names, ("", ".gz"))
    if found is None:
        raise UserError(
            f"expected {' and '.join(names)} (or .gz), did not find both in {_listed(folders)}: give their folder as "
            "`data.root`, or install Debian's package dataset-fashion-mnist and leave `data.root` out, or set "
            "`data.download: true` (data.root)"
        )

    images_NHW, labels_N = read_idx(found[0], 3), read_idx(found[1], 1).astype(np.int64)
    check_side(found[0], images_NHW.shape, FASHION_MNIST_SIDE)
    check_labels(found[1], labels_N, len(images_NHW), num_classes=10)
    return Images(images_NHW[:, None], labels_N)


def read_cifar10(config: DataConfig, part: DatasetPart) -> Images:
    """CIFAR-10; see `read_cifar100` for where its files are searched and which errors are raised.

    Source: https://www.cs.toronto.edu/~kriz/cifar.html; torchvision `CIFAR10` for names and download.
    """
    return _read_cifar("CIFAR10", "labels", 10, config, part)


def read_cifar100(config: DataConfig, part: DatasetPart) -> Images:
    """CIFAR-100 with its 100 fine labels.

    `data.root`, by default `data`, is torchvision's root or the folder of the files themselves. Other files than the
    published ones are read with a warning if they are in the format.

    Returns:
        images_NCHW (N, 3, 32, 32), RGB.

    Raises:
        UserError: if the files are absent, cannot be downloaded, or are damaged.

    Source: https://www.cs.toronto.edu/~kriz/cifar.html; torchvision `CIFAR100` for names and download.
    """
    return _read_cifar("CIFAR100", "fine_labels", 100, config, part)


def _read_cifar(class_name: str, label_key: str, num_classes: int, config: DataConfig, part: DatasetPart) -> Images:
    layout = _torchvision_class(class_name)
    published_md5 = dict(layout.train_list if part == "train" else layout.test_list)
    root = data_root(config)
    folders = [root / layout.base_folder, root]

    found = _located_or_downloaded(class_name, config, folders, list(published_md5))
    if found is None:
        raise UserError(
            f"expected {', '.join(published_md5)} in {_listed(folders)}, did not find all of them: give the folder "
            f"that holds {layout.base_folder} as `data.root`, or set `data.download: true` (data.root)"
        )

    batches = [read_cifar(path, label_key, 3 * CIFAR_SIDE**2) for path in found]
    for path, batch in zip(found, batches, strict=True):
        check_labels(path, batch.labels_N, len(batch.pixels_NP), num_classes)
    if any(batch.md5 != published_md5[path.name] for path, batch in zip(found, batches, strict=True)):
        warnings.warn(f"{found[0].parent} does not hold the published {class_name} files", stacklevel=1)
    images_NCHW = np.concatenate([batch.pixels_NP for batch in batches]).reshape(-1, 3, CIFAR_SIDE, CIFAR_SIDE)
    return Images(np.ascontiguousarray(images_NCHW), np.concatenate([batch.labels_N for batch in batches]))


def _located_or_downloaded(
    class_name: str, config: DataConfig, folders: Sequence[Path], names: Sequence[str], suffixes: Sequence[str] = ("",)
) -> list[Path] | None:
    """Find files as `locate` does, after a download if they are absent and `data.download` asks for it."""
    found = locate(folders, names, suffixes)
    if found is None and config.download:
        _download(class_name, data_root(config))
        found = locate(folders, names, suffixes)
    return found


def _download(class_name: str, root: Path) -> None:
    """Let torchvision download into `root`; of several processes that ask at once, one downloads."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{class_name}.lock"):
            _torchvision_class(class_name)(root, download=True)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"cannot download {class_name} into {root}: {reason} (data.download)") from None


def _torchvision_class(class_name: str) -> Any:
    """torchvision's data set class, imported when needed: importing torchvision is slow."""
    import torchvision.datasets

    return getattr(torchvision.datasets, class_name)


def _listed(folders: list[Path]) -> str:
    return " or ".join(str(folder) for folder in folders)
