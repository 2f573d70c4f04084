"""Processes that read images: too little shared memory and processes that end or hang are named, never waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from absgd.datasets import reading_processes
from absgd.datasets.reading_processes import ASK_EVERY_S, LIMIT_S, ReadAhead, check_shared_memory, read_batches
from absgd.errors import UserError

AHEAD = ReadAhead(workers=2, num_batches=10, batch_bytes=40 * 2**20)
TIMED_OUT = f"DataLoader timed out after {ASK_EVERY_S:g} seconds"


class Loader:
    """A loader that gives what a list says: batches, or errors by their text."""

    def __init__(self, *said: int | str) -> None:
        self._said = iter(said)

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        one = next(self._said)
        if isinstance(one, str):
            raise RuntimeError(one)
        return one


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    def set_free(mib: int | None) -> None:
        monkeypatch.setattr(reading_processes, "_free_bytes", lambda: None if mib is None else mib * 2**20)

    return set_free


def batches(*said: int | str) -> list[Any]:
    return list(read_batches(Loader(*said), AHEAD))  # type: ignore[arg-type]


def test_too_small_shared_memory_is_refused_with_the_size_needed(free: Callable[[int | None], None]) -> None:
    free(64)
    with pytest.raises(UserError) as caught:
        check_shared_memory(AHEAD)
    for words in ("160 MiB", "/dev/shm", "got 64 MiB", "`data.workers`", "--shm-size"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("mib", "ahead"),
    [
        (160, AHEAD),
        (64, AHEAD._replace(workers=0)),
        (64, AHEAD._replace(num_batches=1)),
        (None, AHEAD),  # a system without /dev/shm
    ],
)
def test_enough_is_enough(free: Callable[[int | None], None], mib: int | None, ahead: ReadAhead) -> None:
    free(mib)
    check_shared_memory(ahead)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("unable to write to file </torch_1_2_3>: No space left on device (28)", "160 MiB free in /dev/shm"),
        ("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that", "160 MiB free in /dev/shm"),
        ("DataLoader worker (pid(s) 7) exited unexpectedly", "a process that reads images ended"),
        ("DataLoader worker (pid 7) is killed by signal: Killed.", "lower `data.workers` or `batch_size`"),
    ],
)
def test_error_of_a_process_is_one_of_the_user(free: Callable[[int | None], None], text: str, words: str) -> None:
    free(10)
    with pytest.raises(UserError, match=r"\(data\.workers\)") as caught:
        batches(1, text)
    assert words in str(caught.value)


def test_other_errors_stay_what_they_are(free: Callable[[int | None], None]) -> None:
    with pytest.raises(RuntimeError, match="of the transform"):
        batches("of the transform")


def test_silence_has_a_bound_which_a_batch_resets(free: Callable[[int | None], None]) -> None:
    most = int(LIMIT_S / ASK_EVERY_S) - 1
    assert batches(*[TIMED_OUT] * most, 1, *[TIMED_OUT] * most, 2) == [1, 2]
    with pytest.raises(UserError, match="no batch for 1800 s"):
        batches(1, *[TIMED_OUT] * (most + 1), 2)
