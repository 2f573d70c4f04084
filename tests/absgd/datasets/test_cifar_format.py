"""CIFAR's python format: files of Python 2 and 3 are read, damage is named, no code in a file runs."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from absgd.datasets.cifar_format import read_cifar
from absgd.errors import UserError
from tests.support.small_files import python2_pickle

PIXELS = np.arange(36, dtype=np.uint8).reshape(3, 12)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def cifar_file(path: Path, **entries: Any) -> Path:
    return written(path, python2_pickle({"labels": [0, 1, 2], "data": PIXELS, **entries}))


def test_read_cifar_reads_what_python_2_wrote_without_a_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = read_cifar(cifar_file(tmp_path / "data_batch_1", batch_label="training batch 1 of 5"), "labels", 12)
    np.testing.assert_array_equal(batch.pixels_NP, PIXELS)
    assert batch.pixels_NP.dtype == np.uint8
    assert batch.labels_N.tolist() == [0, 1, 2]
    assert batch.labels_N.dtype == np.int64


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_read_cifar_reads_what_python_3_writes(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps({"fine_labels": [4, 5, 6], "data": PIXELS}, protocol=protocol)
    batch = read_cifar(written(tmp_path / "train", content), "fine_labels", 12)
    np.testing.assert_array_equal(batch.pixels_NP, PIXELS)
    assert batch.labels_N.tolist() == [4, 5, 6]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_read_cifar_reads_an_array_stored_by_columns(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps({"labels": [4, 5, 6], "data": np.asfortranarray(PIXELS)}, protocol=protocol)
    np.testing.assert_array_equal(read_cifar(written(tmp_path / "train", content), "labels", 12).pixels_NP, PIXELS)


@pytest.mark.parametrize("protocol", [2, 5])
def test_read_cifar_refuses_other_types(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps({"labels": [4, 5, 6], "data": PIXELS.astype(np.int16)}, protocol=protocol)
    with pytest.raises(UserError, match=r"expected an array u1 of shape .*got i2"):
        read_cifar(written(tmp_path / "train", content), "labels", 12)


def test_read_cifar_names_a_file_cut_anywhere(tmp_path: Path) -> None:
    path = cifar_file(tmp_path / "data_batch_1")
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"data_batch_1 is damaged: .*\(data\.root\)"):
            read_cifar(path, "labels", 12)


def test_read_cifar_gives_a_user_error_or_numbers_for_any_changed_byte(tmp_path: Path) -> None:
    path = cifar_file(tmp_path / "data_batch_1")
    content, rng = path.read_bytes(), np.random.default_rng(0)
    outcomes = set()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] = rng.integers(256)
        path.write_bytes(changed)
        try:
            outcomes.add(read_cifar(path, "labels", 12).pixels_NP.shape[1])
        except UserError:
            outcomes.add("refused")
    assert outcomes == {12, "refused"}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            {"data": PIXELS.reshape(4, 9)},
            r"expected an array u1 of shape \(N, 12\), got u1 of shape \(4, 9\)",
        ),
        ({"data": PIXELS.reshape(-1)}, r"got u1 of shape \(36,\)"),
        ({"data": [1, 2, 3]}, "expected an array of images, got list"),
        ({"labels": "abc"}, "expected a list of whole numbers as labels, got str"),
        ({"labels": ["a", 1, 2]}, "expected a list of whole numbers as labels"),
    ],
)
def test_read_cifar_names_the_wrong_entry(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_cifar(cifar_file(tmp_path / "data_batch_1", **entries), "labels", 12)


def test_read_cifar_names_a_missing_entry(tmp_path: Path) -> None:
    path = cifar_file(tmp_path / "data_batch_1")
    with pytest.raises(UserError, match=r"expected `data` and `fine_labels` .*there is no entry 'fine_labels'"):
        read_cifar(path, "fine_labels", 12)
    with pytest.raises(UserError, match=r"data_batch_1 is damaged: .*\(data\.root\)"):
        read_cifar(written(path, python2_pickle(["no mapping"])), "labels", 12)


def test_read_cifar_runs_nothing_a_file_asks_for(tmp_path: Path) -> None:
    target = tmp_path / "made_by_the_pickle"
    path = written(tmp_path / "data_batch_1", b"cos\nmkdir\n(V" + str(target).encode() + b"\ntR.")
    with pytest.raises(UserError, match=r"data_batch_1 is damaged: .*it asks for \w+\.mkdir"):
        read_cifar(path, "labels", 12)
    assert not target.exists()
