"""Damaged files, and a disk that is full."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.outcome import Outcome, not_injected
from benchmarks.faults.search import INHERITANCE, LIMIT_S, Attacked, differences, faults_space
from tune_runs.trial.disk_budget import folder_bytes


def damaged_checkpoints(num_faults: int, source: random.Random, folder: Path, whole: Attacked) -> list[Outcome]:
    """The newest checkpoint of a run truncated, or a bit of it flipped, after the driver was killed."""
    return [
        _damaged(f"checkpoint {kind}", kind, num_faults, source, folder / kind, whole)
        for kind in ("truncated", "bit-flipped")
    ]


def _damaged(fault: str, kind: str, num_faults: int, source: random.Random, folder: Path, whole: Attacked) -> Outcome:
    survived = said = 0
    for number in range(num_faults):
        search = Attacked(faults_space(), folder / str(number))
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


def full_disks(num_faults: int, source: random.Random, folder: Path, whole: Attacked) -> list[Outcome]:
    """The run folder on a file system that is too small, or that somebody else fills to the last byte."""
    faults = {"disk too small for the snapshots": _on_small_disk, "disk filled by others": _on_filled_disk}
    outcomes = []
    for fault, attack in faults.items():
        try:
            survived = sum(attack(source, folder / f"{fault}-{number}", whole) for number in range(num_faults))
        except (subprocess.CalledProcessError, FileNotFoundError):
            outcomes.append(not_injected(fault, "needs the right to mount a tmpfs"))
        else:
            outcomes.append(Outcome(fault, num_faults, survived, _FULL_DISK_NOTES[attack.__name__]))
    return outcomes


_FULL_DISK_NOTES = {
    "_on_small_disk": "named; trials that find no snapshot train stage one themselves, to the same values",
    "_on_filled_disk": "ends with status 1 and how to go on; resumed once there is room",
}


def _on_small_disk(source: random.Random, place: Path, whole: Attacked) -> bool:
    place.mkdir(parents=True)
    with _small_disk(place, int(folder_bytes(whole.run) * source.uniform(0.3, 0.7))):
        search = Attacked(faults_space(), place)
        status = search.finish()
        is_named = "cannot write " in search.printed and "No space left on device" in search.printed
        return status == 0 and is_named and not differences(whole, search, ignored=INHERITANCE)


def _on_filled_disk(source: random.Random, place: Path, whole: Attacked) -> bool:
    place.mkdir(parents=True)
    with _small_disk(place, 3 * folder_bytes(whole.run)):
        search = Attacked(faults_space(), place)
        at_least = source.randint(2, 3)
        with search.session() as process:
            search.wait_until(lambda: len(search.checkpoints()) >= at_least, process)
            _fill(place / "ballast")
            status = process.wait(LIMIT_S)
        (place / "ballast").unlink()
        search.finish()
        return status == 1 and not differences(whole, search, ignored=INHERITANCE)


def _fill(ballast: Path) -> None:
    """Take what is left of a file system, and whatever becomes free in the next seconds."""
    deadline = time.monotonic() + 20
    with ballast.open("ab", buffering=0) as file:
        while time.monotonic() < deadline:
            try:
                file.write(b"x" * 4096)
            except OSError:
                time.sleep(0.01)


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
