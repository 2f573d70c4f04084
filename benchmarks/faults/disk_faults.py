"""Damaged checkpoints, and full disks."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.attacked_search import INHERITANCE, LIMIT_S, AttackedSearch, faults_space, search_differences
from benchmarks.faults.fault_outcome import FaultOutcome, not_injected
from tune_runs.trial.disk_budget import folder_bytes


def damaged_checkpoints(
    num_faults: int, source: random.Random, folder: Path, whole: AttackedSearch
) -> list[FaultOutcome]:
    """Truncate the newest checkpoint of a run, or flip a bit of it, after killing the driver."""
    return [
        _damaged(f"checkpoint {kind}", kind, num_faults, source, folder / kind, whole)
        for kind in ("truncated", "bit-flipped")
    ]


def _damaged(
    fault: str, kind: str, num_faults: int, source: random.Random, folder: Path, whole: AttackedSearch
) -> FaultOutcome:
    survived = reported = 0
    for number in range(num_faults):
        search = AttackedSearch(faults_space(), folder / str(number))
        at_least = source.randint(2, 3)
        with search.session() as process:
            assert search.wait_until(lambda: len(search.checkpoints()) >= at_least, process), search.printed  # noqa: B023
            process.kill()
        newest = search.checkpoints()[0]
        newest.write_bytes(damaged_content(newest.read_bytes(), kind, source))
        is_done = search.finish() == 0 and not search_differences(whole, search)
        is_reported = f"{newest.name} is damaged" in search.printed.replace("\n", "")
        survived, reported = survived + is_done, reported + is_reported
    note = f"reported {reported} times; the run resumes from the checkpoint before it"
    return FaultOutcome(fault, num_faults, survived, note)


def damaged_content(content: bytes, kind: str, source: random.Random) -> bytes:
    """Truncate content at a random place, or flip a random bit of it."""
    place = source.randrange(len(content))
    if kind == "truncated":
        return content[:place]
    return content[:place] + bytes([content[place] ^ 1 << source.randrange(8)]) + content[place + 1 :]


def full_disks(num_faults: int, source: random.Random, folder: Path, whole: AttackedSearch) -> list[FaultOutcome]:
    """Put the run folder on a file system that is too small, or that another process fills to the last byte."""
    attacks = {
        "disk too small for the snapshots": (
            _on_small_disk,
            "named; trials that find no snapshot train stage one themselves, with the same values",
        ),
        "disk filled by others": (
            _on_filled_disk,
            "ends with status 1 and says how to resume; resumed once there is room",
        ),
    }
    outcomes = []
    for fault, (attack, note) in attacks.items():
        try:
            survived = sum(attack(source, folder / f"{fault}-{number}", whole) for number in range(num_faults))
        except (subprocess.CalledProcessError, FileNotFoundError):
            outcomes.append(not_injected(fault, "needs the right to mount a tmpfs"))
        else:
            outcomes.append(FaultOutcome(fault, num_faults, survived, note))
    return outcomes


def _on_small_disk(source: random.Random, place: Path, whole: AttackedSearch) -> bool:
    place.mkdir(parents=True)
    with _small_disk(place, int(folder_bytes(whole.run) * source.uniform(0.3, 0.7))):
        search = AttackedSearch(faults_space(), place)
        status = search.finish()
        is_named = "cannot write " in search.printed and "No space left on device" in search.printed
        return status == 0 and is_named and not search_differences(whole, search, ignored=INHERITANCE)


def _on_filled_disk(source: random.Random, place: Path, whole: AttackedSearch) -> bool:
    place.mkdir(parents=True)
    with _small_disk(place, 3 * folder_bytes(whole.run)):
        search = AttackedSearch(faults_space(), place)
        at_least = source.randint(2, 3)
        with search.session() as process:
            search.wait_until(lambda: len(search.checkpoints()) >= at_least, process)
            _fill(place / "ballast")
            status = process.wait(LIMIT_S)
        (place / "ballast").unlink()
        search.finish()
        return status == 1 and not search_differences(whole, search, ignored=INHERITANCE)


def _fill(ballast: Path) -> None:
    """Fill the free space of a file system, and what becomes free in the next seconds."""
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
