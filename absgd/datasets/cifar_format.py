"""CIFAR's python format: a pickle with the images in one array, read without running anything it asks for.

Shape legend: N images, P values per image.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from absgd.datasets.data_files import damaged, read_bytes
from absgd.datasets.images import Labels, Pixels

_DAMAGED_PICKLE = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
)


class CifarBatch(NamedTuple):
    """One file in CIFAR's python format."""

    pixels_NP: Pixels
    """Channel, row, column: P = 3 * 32 * 32."""
    labels_N: Labels
    md5: str
    """Digest of the file, in hex digits."""


def read_cifar(path: Path, label_key: str, num_values: int) -> CifarBatch:
    """Images and labels of one file in CIFAR's python format.

    Args:
        path: the file.
        label_key: the entry that holds the labels: `labels`, or `fine_labels` for CIFAR-100.
        num_values: P, values per image.

    Raises:
        UserError: if the file cannot be read or does not hold such entries.

    Source: https://www.cs.toronto.edu/~kriz/cifar.html, python version.
    """
    content = read_bytes(path)
    try:
        entries = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
        pixels_NP, labels = _pixels(entries["data"], num_values), _labels(entries[label_key])
    except _DAMAGED_PICKLE as error:
        raise damaged(path, f"expected `data` and `{label_key}` in CIFAR's format: {_message(error)}") from None
    return CifarBatch(pixels_NP, labels, hashlib.md5(content, usedforsecurity=False).hexdigest())


class _StoredType:
    """numpy's dtype as stored in a pickle."""

    def __init__(self, code: str, *_flags: object) -> None:
        self.code = code

    def __setstate__(self, _state: object) -> None:
        """Byte order and the like, which bytes do not have."""


class _StoredArray:
    """numpy's array as stored in a pickle: plain data, so that a damaged file reaches none of numpy's own state."""

    def __init__(self, *_empty: object) -> None:
        self.shape: Any = ()
        self.type: Any = None
        self.in_columns: Any = False
        self.content: Any = b""

    def __setstate__(self, state: Any) -> None:
        _version, self.shape, self.type, self.in_columns, self.content = state

    @classmethod
    def from_buffer(cls, content: Any, type: Any, shape: Any, order: Any) -> _StoredArray:
        """The array from its representation in protocol 5."""
        array = cls()
        array.__setstate__((1, shape, type, order == "F", bytes(content)))
        return array


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles arrays (as `_StoredArray`), lists, mappings, text and numbers; refuses to import anything else."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") | ("numpy", "ndarray"):
                return _StoredArray
            case ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer"):
                return _StoredArray.from_buffer
            case "numpy", "dtype":
                return _StoredType
            case "_codecs", "encode":  # how Python 3 writes bytes in protocol 2
                return _latin1_bytes
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _latin1_bytes(text: str, _encoding: str = "latin1") -> bytes:
    """The bytes of text that was decoded as latin1; Python 2's strings arrive as such text."""
    return text.encode("latin1")


def _pixels(stored: object, num_values: int) -> Pixels:
    """The array (N, num_values) from a pickle.

    Raises:
        ValueError: if it has another type or shape.
    """
    if not isinstance(stored, _StoredArray):
        raise ValueError(f"expected an array of images, got {type(stored).__name__}")
    code = stored.type.code if isinstance(stored.type, _StoredType) else stored.type
    if code != "u1" or len(stored.shape) != 2 or stored.shape[1] != num_values:
        raise ValueError(f"expected an array u1 of shape (N, {num_values}), got {code} of shape {stored.shape}")
    content = _latin1_bytes(stored.content) if isinstance(stored.content, str) else stored.content
    return np.frombuffer(content, np.uint8).reshape(stored.shape, order="F" if stored.in_columns else "C")


def _labels(stored: object) -> Labels:
    """The labels from a pickle.

    Raises:
        ValueError: if they are not a list of whole numbers.
    """
    if not isinstance(stored, list) or not all(type(label) is int for label in stored):
        raise ValueError(f"expected a list of whole numbers as labels, got {type(stored).__name__}")
    return np.array(stored, dtype=np.int64)


def _message(error: BaseException) -> str:
    """The message of an error in one line."""
    if isinstance(error, KeyError):
        return f"there is no entry {error}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
