"""A store that fails for a while delays a run once; one that is full, or stays absent, is reported."""

from __future__ import annotations

import errno
from collections.abc import Collection
from pathlib import Path

import pytest

from tune_runs.file_store.patient_store import PatientStore

FILE = Path("/runs/a/epoch-0001.pt")


class FailingStore:
    """Fails `num_failures` times, then works."""

    def __init__(self, num_failures: int, number: int = errno.ETIMEDOUT) -> None:
        self.num_left, self.number, self.num_calls = num_failures, number, 0

    def put(self, path: Path, _content: bytes) -> None:
        self.get(path)

    def get(self, _path: Path) -> bytes | None:
        self.num_calls += 1
        if self.num_left:
            self.num_left -= 1
            raise OSError(self.number, "no answer")
        return b"content"

    def names(self, folder: Path) -> list[str]:
        self.get(folder)
        return [FILE.name]

    def delete(self, _paths: Collection[Path]) -> None:
        self.get(FILE)


def test_failing_operation_is_repeated_with_longer_pauses() -> None:
    pauses: list[float] = []
    for operation in (
        lambda store: store.put(FILE, b""),
        lambda store: store.get(FILE),
        lambda store: store.names(FILE.parent),
        lambda store: store.delete([FILE]),
    ):
        failing = FailingStore(3)
        operation(PatientStore(failing, wait=pauses.append))
        assert failing.num_calls == 4
    assert pauses == [0.5, 1.0, 2.0] * 4


def test_absent_store_costs_its_patience_once_and_is_used_again_when_it_answers() -> None:
    failing = FailingStore(4)
    store = PatientStore(failing, patience_s=0.0, wait=lambda _: None)
    with pytest.raises(OSError, match="no answer"):
        store.get(FILE)
    store._patience_s = 1000.0  # an absent store is asked once, however patient
    for _ in range(3):
        with pytest.raises(OSError, match="no answer"):
            store.get(FILE)
    assert failing.num_calls == 4
    assert store.get(FILE) == b"content"
    failing.num_left = 2
    assert store.get(FILE) == b"content"


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.ENOSPC])
def test_full_store_is_reported_at_once(number: int) -> None:
    failing = FailingStore(1, number)
    with pytest.raises(OSError, match="no answer"):
        PatientStore(failing, wait=lambda _: None).put(FILE, b"")
    assert failing.num_calls == 1
