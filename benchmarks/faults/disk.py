"""Damaged files, and a disk that is full."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.outcome import Outcome, not_injected
from benchmarks.faults.search import Attacked, differences, faults_space
from tune_runs.disk import folder_bytes


def damaged_checkpoints(num_faults: int, source: random.Random, folder: Path, whole: Attacked) -> list[Outcome]:
    """The newest checkpoint of a run truncated, or a bit of it flipped, after the driver was killed."""
    return [
        _damaged(f"checkpoint {kind}", kind, num_faults, source, folder / kind, whole)
        for kind in ("truncated", "bit-flipped")
    ]


def _damaged(fault: str, kind: str, num_faults: int, source: random.Random, folder: Path, whole: Attacked) -> Outcome:
    survived = said = 0
    for number in range(num_faults):
        place = folder / str(number)
        place.mkdir(parents=True)
        search = Attacked(faults_space(), place)
        at_least = source.randint(2, 3)
        with search.session() as process:
            assert search.wait_until(lambda: len(search.checkpoints()) >= at_least, process), search.printed  # noqa: B023
            process.kill()
        newest = search.checkpoints()[0]
        newest.write_bytes(_spoilt(newest.read_bytes(), kind, source))
        is_done = search.finish() == 0 and not differences(whole, search)
        is_said = f"{newest.name} is damaged" in search.printed.replace("\n", "")
        survived, said = survived + is_done, said + is_said
    return Outcome(fault, num_faults, survived, f"said {said} times; the one before it is gone on from")


def _spoilt(content: bytes, kind: str, source: random.Random) -> bytes:
    place = source.randrange(len(content))
    if kind == "truncated":
        return content[:place]
    return content[:place] + bytes([content[place] ^ 1 << source.randrange(8)]) + content[place + 1 :]


def full_disks(num_faults: int, source: random.Random, folder: Path, whole: Attacked) -> Outcome:
    """The run folder on a file system that is too small, then made larger."""
    fault = "disk full in the run folder"
    needed, survived, statuses = folder_bytes(whole.run), 0, set[int]()
    for number in range(num_faults):
        place = folder / f"disk-{number}"
        place.mkdir(parents=True)
        size = int(needed * source.uniform(0.3, 0.9))
        try:
            with _small_disk(place, size):
                search = Attacked(faults_space(), place)
                statuses.add(search.finish())
                is_told = "No space left on device" in search.printed and "absgd-tune --resume" in search.printed
                subprocess.run(["mount", "-o", f"remount,size={100 * needed}", place], check=True)
                survived += is_told and search.finish() == 0 and not differences(whole, search)
        except (subprocess.CalledProcessError, FileNotFoundError):
            return not_injected(fault, "needs the right to mount a tmpfs")
    return Outcome(fault, num_faults, survived, f"ends with status {statuses}, resumed with more room")


@contextmanager
def _small_disk(place: Path, size: int) -> Iterator[None]:
    if os.geteuid() != 0:
        raise FileNotFoundError
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)
