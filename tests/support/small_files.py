"""Small data files in the data sets' own formats, for tests that need a data set but not its size.

The images are noise around a brightness of their class, so that a model can learn them.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

CIFAR_VALUES = 3 * 32 * 32


def write_cifar10(root: Path, per_class: int, test_per_class: int = 2) -> Path:
    """root/cifar-10-batches-py with five training batches, a test batch and batches.meta; returns `root`."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    pixels, labels = random_images(10, per_class, (CIFAR_VALUES,), seed=0)
    for number, index in enumerate(np.array_split(np.arange(len(labels)), 5), start=1):
        content = _cifar10_batch(f"training batch {number} of 5", pixels[index], labels[index])
        (folder / f"data_batch_{number}").write_bytes(content)
    test = random_images(10, test_per_class, (CIFAR_VALUES,), seed=1)
    (folder / "test_batch").write_bytes(_cifar10_batch("testing batch 1 of 1", *test))
    names = [f"class{label}" for label in range(10)]
    meta = {"num_cases_per_batch": per_class * 2, "label_names": names, "num_vis": CIFAR_VALUES}
    (folder / "batches.meta").write_bytes(python2_pickle(meta))
    return root


def write_cifar100(root: Path, per_class: int, test_per_class: int = 2) -> Path:
    """root/cifar-100-python with train, test and meta; returns `root`."""
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for seed, (part, size) in enumerate({"train": per_class, "test": test_per_class}.items()):
        pixels, labels = random_images(100, size, (CIFAR_VALUES,), seed)
        entries = {
            "filenames": [f"image_{index}.png" for index in range(len(labels))],
            "batch_label": f"{part}ing batch 1 of 1",
            "fine_labels": labels.tolist(),
            "coarse_labels": (labels // 5).tolist(),
            "data": pixels,
        }
        (folder / part).write_bytes(python2_pickle(entries))
    fine, coarse = [f"fine{label}" for label in range(100)], [f"coarse{label}" for label in range(20)]
    (folder / "meta").write_bytes(python2_pickle({"fine_label_names": fine, "coarse_label_names": coarse}))
    return root


def write_fashion_mnist(root: Path, per_class: int, test_per_class: int = 2, *, gz: bool = True) -> Path:
    """The four idx files in `root` itself, gzipped or not; returns `root`."""
    root.mkdir(parents=True, exist_ok=True)
    for seed, (prefix, size) in enumerate({"train": per_class, "t10k": test_per_class}.items()):
        pixels, labels = random_images(10, size, (28, 28), seed)
        for name, array in {"images-idx3": pixels, "labels-idx1": labels.astype(np.uint8)}.items():
            content = idx_bytes(array)
            path = root / f"{prefix}-{name}-ubyte{'.gz' if gz else ''}"
            path.write_bytes(gzip.compress(content, compresslevel=1) if gz else content)
    return root


def random_images(num_classes: int, per_class: int, shape: tuple[int, ...], seed: int) -> tuple[Pixels, Labels]:
    """Return images of one shape and their labels, classes mixed."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(num_classes), per_class))
    brightness = (labels * (200 // num_classes)).reshape(-1, *[1] * len(shape))
    noise = rng.integers(0, 50, size=(len(labels), *shape))
    return (brightness + noise).astype(np.uint8), labels


def idx_bytes(array: Pixels) -> bytes:
    """Return an idx file of unsigned bytes."""
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def python2_pickle(value: Any) -> bytes:
    """Return a protocol-2 pickle with the opcodes Python 2 wrote: byte strings, and arrays of its time's numpy."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _cifar10_batch(name: str, pixels: Pixels, labels: Labels) -> bytes:
    filenames = [f"image_{index}.png" for index in range(len(labels))]
    return python2_pickle({"batch_label": name, "labels": labels.tolist(), "data": pixels, "filenames": filenames})


def _opcodes(value: Any) -> bytes:
    match value:
        case str():
            return b"T" + struct.pack("<I", len(value)) + value.encode()
        case int():
            return b"J" + struct.pack("<i", value)
        case list():
            return b"](" + b"".join(map(_opcodes, value)) + b"e"
        case dict():
            return b"}(" + b"".join(_opcodes(key) + _opcodes(entry) for key, entry in value.items()) + b"u"
        case np.ndarray():
            empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
            dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
            shape = b"(" + b"".join(map(_opcodes, value.shape)) + b"t"
            content = b"T" + struct.pack("<I", value.nbytes) + value.tobytes()
            return empty + b"(K\x01" + shape + dtype + b"\x89" + content + b"tb"
    raise TypeError(type(value))


def write_imagefolder(
    root: Path, num_classes: int, per_class: int, *, val_per_class: int = 2, test_per_class: int = 2, side: int = 20
) -> Path:
    """root/{train,val,test}/class_<c>/image_<i>.png; returns `root`."""
    sizes = {"train": per_class, "val": val_per_class, "test": test_per_class}
    for seed, (part, size) in enumerate(sizes.items()):
        pixels, labels = random_images(num_classes, size, (side, side, 3), seed)
        for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            write_image(root / part / f"class_{label}" / f"image_{index}.png", image)
    return root


LIST_NAMES = {
    "imagenet_lt": {"train": "ImageNet_LT_train.txt", "val": "ImageNet_LT_val.txt", "test": "ImageNet_LT_test.txt"},
    "places_lt": {"train": "Places_LT_train.txt", "val": "Places_LT_val.txt", "test": "Places_LT_test.txt"},
    "inaturalist18": {"train": "iNaturalist18_train.txt", "test": "iNaturalist18_val.txt"},
    "clothing1m": {"train": "noisy_train_kv.txt", "val": "clean_val_kv.txt", "test": "clean_test_kv.txt"},
}
"""Names of the list files by data set and part."""


def write_listed(
    root: Path, name: str, num_classes: int, per_class: int, *, val_per_class: int = 2, test_per_class: int = 2
) -> Path:
    """The lists of data set `name` in `root`, and JPEG files below root/images; returns `root`."""
    sizes = {"train": per_class, "val": val_per_class, "test": test_per_class}
    for seed, (part, list_name) in enumerate(LIST_NAMES[name].items()):
        pixels, labels = random_images(num_classes, sizes[part], (24, 20, 3), seed)
        lines = []
        for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            path = f"images/{part}/{label}/image {index}.jpg"
            write_image(root / path, image)
            lines.append(f"{path} {label}\n")
        (root / list_name).write_text("".join(lines))
    return root


def write_clothing1m(root: Path, per_class: int, *, published: bool = False, val_per_class: int = 2) -> Path:
    """Clothing1M's 14 classes as key-value lists in `root`, or as published, in root/annotations; returns `root`."""
    write_listed(root, "clothing1m", 14, per_class, val_per_class=val_per_class)
    if not published:
        return root
    folder = root / "annotations"
    folder.mkdir()
    labels = {"noisy_label_kv.txt": "", "clean_label_kv.txt": ""}
    for name in LIST_NAMES["clothing1m"].values():
        content = (root / name).read_text()
        keys = "".join(f"{line.rpartition(' ')[0]}\n" for line in content.splitlines())
        (folder / name.replace("_kv", "_key_list")).write_text(keys)
        labels["noisy_label_kv.txt" if name.startswith("noisy") else "clean_label_kv.txt"] += content
        (root / name).unlink()
    for name, content in labels.items():
        (folder / name).write_text(content)
    return root


def write_tiny_imagenet(root: Path, num_classes: int, per_class: int, test_per_class: int = 2) -> Path:
    """root/tiny-imagenet-200 with wnids.txt, train and val as published; returns `root`."""
    folder = root / "tiny-imagenet-200"
    wnids = [f"n{number:08d}" for number in np.random.default_rng(0).permutation(num_classes)]
    for label, pixels in enumerate(_by_class(random_images(num_classes, per_class, (64, 64, 3), seed=0))):
        for index, image in enumerate(pixels):
            write_image(folder / "train" / wnids[label] / "images" / f"{wnids[label]}_{index}.JPEG", image)
    pixels, labels = random_images(num_classes, test_per_class, (64, 64, 3), seed=1)
    lines = []
    for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        write_image(folder / "val" / "images" / f"val_{index}.JPEG", image)
        lines.append(f"val_{index}.JPEG\t{wnids[label]}\t0\t0\t63\t63\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    (folder / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in wnids))
    return root


def write_image(path: Path, pixels_HWC: Pixels) -> None:
    """Write an image file in the format of the name's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels_HWC).save(path)


def _by_class(images: tuple[Pixels, Labels]) -> list[Pixels]:
    pixels, labels = images
    return [pixels[labels == label] for label in range(labels.max() + 1)]
