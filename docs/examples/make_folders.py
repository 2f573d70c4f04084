"""Write a long-tailed folder of images from the four files of Fashion-MNIST.

    python docs/examples/make_folders.py /usr/share/datasets/fashion-mnist my_images

The largest class of `train` has 550 images and the smallest 80; each class of `test` has 100.
"""

import gzip
import sys
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
TRAIN = np.geomspace(500, 30, len(CLASSES)).round().astype(int) + 50
"""Images of each class, of which a search takes 50 for validation."""


def read(files: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images, uint8, shape (N, 28, 28), and labels, uint8, shape (N,)."""
    images = gzip.decompress((files / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((files / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
    return np.frombuffer(images, np.uint8).reshape(-1, 28, 28), np.frombuffer(labels, np.uint8)


def write(folder: Path, images: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> None:
    for label, (name, count) in enumerate(zip(CLASSES, counts, strict=True)):
        (folder / name).mkdir(parents=True)
        for number, index in enumerate(np.flatnonzero(labels == label)[:count]):
            Image.fromarray(images[index]).save(folder / name / f"{number}.png")


if __name__ == "__main__":
    files, target = map(Path, sys.argv[1:])
    write(target / "train", *read(files, "train"), TRAIN)
    write(target / "test", *read(files, "t10k"), np.full(len(CLASSES), 100))
