"""Drivers and workers killed (SIGKILL) at random moments, in one search after another."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from benchmarks.faults.attacked_search import AttackedSearch, faults_space, search_differences, workers_of
from benchmarks.faults.fault_outcome import FaultOutcome

ProcessKill = Callable[[subprocess.Popen[bytes], random.Random], bool]
"""Waits for a random moment of a session and kills; returns whether that was before the session's end."""


def killed_drivers(
    num_kills: int, source: random.Random, folder: Path, whole: AttackedSearch, whole_s: float
) -> FaultOutcome:
    """Kill drivers at moments drawn uniformly from the duration of an undisturbed search, start included."""

    def kill(process: subprocess.Popen[bytes], source: random.Random) -> bool:
        try:
            process.wait(source.uniform(0.5, whole_s))
        except subprocess.TimeoutExpired:
            process.kill()
            return True
        return False

    return _until_killed("driver killed", num_kills, source, folder, whole, kill)


def killed_workers(num_kills: int, source: random.Random, folder: Path, whole: AttackedSearch) -> FaultOutcome:
    """Kill a worker, training or about to, every few seconds in the same session."""

    def kill(process: subprocess.Popen[bytes], source: random.Random) -> bool:
        while process.poll() is None:
            time.sleep(source.uniform(0.2, 4.0))
            if workers := workers_of(process):
                try:
                    source.choice(workers).kill()
                except psutil.NoSuchProcess:
                    continue
                return True
        return False

    return _until_killed("worker killed", num_kills, source, folder, whole, kill, per_session=10)


def _until_killed(
    fault: str,
    num_kills: int,
    source: random.Random,
    folder: Path,
    whole: AttackedSearch,
    kill: ProcessKill,
    per_session: int = 1,
) -> FaultOutcome:
    injected = survived = num_searches = restarts = 0
    problems: list[str] = []
    while injected < num_kills:
        num_searches += 1
        search = AttackedSearch(faults_space(max_failures=1000), folder / f"{fault} {num_searches}".replace(" ", "-"))
        kills = sum(_sessions(search, num_kills - injected, source, kill, per_session))
        injected += kills
        found = search_differences(whole, search)
        survived += 0 if found else kills
        problems += found
        restarts += search.restarts()
    note = f"in {num_searches} searches" + (f", {restarts} restarts" if restarts else "")
    return FaultOutcome(fault, injected, survived, f"{note}; differ in {', '.join(problems)}" if problems else note)


def _sessions(
    search: AttackedSearch, most: int, source: random.Random, kill: ProcessKill, per_session: int
) -> Iterator[int]:
    """Yield the kills of each session until the search is done; after `most` kills, the session runs to its end."""
    done = 0
    while True:
        kills = 0
        with search.session() as process:
            while done < most and kills < per_session and kill(process, source):
                kills, done = kills + 1, done + 1
            yield kills
            if per_session == 1 and kills:
                continue
            assert process.wait(300) == 0, search.printed
            return
