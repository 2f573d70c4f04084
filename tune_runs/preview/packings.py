"""How many trials at once a device is good for: the ways to try, what each came to, and the one to propose.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from tune_runs.space.resources import ResourcesConfig

COUNTS = (1, 2, 4, 8)
"""Trials at once on a GPU, and in a cohort."""
MOST_PROCESSES = 32
"""At once in a probe, however many CPUs there are."""
ENOUGH = 0.95
"""Share of the most that any number of trials trains together: the fewest trials with so much are proposed."""


@dataclasses.dataclass(frozen=True)
class Way:
    """Trials that train at the same time on one device: on one GPU, or on the CPUs of a machine."""

    processes: int
    cpu: float
    """CPUs of each process."""
    gpu: float
    """GPUs of each process."""
    cohort: int = 1
    """Trials of each process, which take turns."""

    @property
    def trials(self) -> int:
        """Of all processes together."""
        return self.processes * self.cohort

    @property
    def threads(self) -> int:
        """Of each process."""
        return max(1, int(self.cpu))

    @property
    def words(self) -> str:
        """What a space has to say for it.

        >>> Way(processes=8, cpu=2, gpu=0.125).words, Way(processes=1, cpu=4, gpu=1, cohort=8).words
        ('{cpu: 2, gpu: 0.125}', '{cpu: 4, gpu: 1, cohort: 8}')
        """
        cohort = f", cohort: {self.cohort}" if self.cohort > 1 else ""
        return f"{{cpu: {self.cpu:g}, gpu: {self.gpu:g}{cohort}}}"


@dataclasses.dataclass(frozen=True)
class Row:
    """What one way came to."""

    way: Way
    images_per_s: float = math.nan
    """Of all trials together, the median of some rounds."""
    of_one: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    """Ratio to one trial alone in the same round: least, median, most."""
    num_rounds: int = 0
    """That these numbers are of."""
    peak_bytes: int = 0
    """Memory of all processes together; 0 where it is not known."""
    failure: str = ""
    """Why it was not measured."""


@dataclasses.dataclass(frozen=True)
class Probe:
    """What a probe found."""

    scenario: str
    device: str
    """In words."""
    rows: tuple[Row, ...]
    own: Way | None
    """What the space itself says; None where that does not fit here, or is too much to be tried."""
    on_gpu: bool


def own_way(resources: ResourcesConfig, num_cpus: int, num_gpus: int) -> Way | None:
    """The trials that a space lets train at once on one device; None where none fits.

    >>> own_way(ResourcesConfig(cpu=2), num_cpus=16, num_gpus=1)
    Way(processes=4, cpu=2.0, gpu=0.25, cohort=1)

    Args:
        resources: of a trial that has one process.
        num_cpus: of the machine.
        num_gpus: of the machine.
    """
    given = resources.on(num_gpus)
    gpu = given.gpu or 0.0
    cohort = given.cohort
    count = given.concurrent(num_cpus // num_gpus, 1) if gpu else given.concurrent(num_cpus, 0)
    return Way(count // cohort, given.cpu, gpu, cohort) if count else None


def ways_to_try(
    own: Way | None, cpu: float, num_cpus: int, num_gpus: int, most: int
) -> tuple[tuple[Way, ...], tuple[Way, ...]]:
    """Trials in a process each, and trials that share one; each list rises and begins with one trial alone.

    On a GPU each process has the CPUs that the space gives it, or fewer where so many processes would not fit. On CPUs
    the machine is divided: the threads of a process are halved until each has one.

    Args:
        own: what the space says, which is tried too.
        cpu: CPUs of a process as the space has them.
        num_cpus: of the machine.
        num_gpus: of the machine, each with its part of the CPUs; 0: on CPUs.
        most: trials at once that the search could fill.
    """
    alone = _on_gpu(cpu, max(1, num_cpus // num_gpus)) if num_gpus else _on_cpus(num_cpus)
    shared = [dataclasses.replace(alone[0], cohort=count) for count in COUNTS if num_gpus or count <= num_cpus]
    own_alone, own_shared = ([own] if own and (own.cohort > 1) is several else [] for several in (False, True))
    return _rising([*alone, *own_alone], most), _rising([*shared, *own_shared], most)


def proposed(rows: Sequence[Row]) -> Row | None:
    """The row with the fewest trials among those that train nearly as much together as any; None: nothing was measured.

    Fewer at once, because early stopping judges a trial by those that were there before it. Of as many trials the
    faster way is taken, by the ratio to one trial in the same rounds.
    """
    measured = [row for row in rows if not row.failure]
    most = max((row.of_one[1] for row in measured), default=0.0)
    enough = [row for row in measured if row.of_one[1] >= ENOUGH * most]
    return min(enough, key=lambda row: (row.way.trials, -row.of_one[1], row.way.cohort), default=None)


def _on_gpu(cpu: float, num_cpus: int) -> list[Way]:
    """Trials that share a GPU, with so many CPUs beside it."""
    counts = [count for count in COUNTS if count == 1 or count <= num_cpus or count * cpu <= num_cpus]
    return [Way(count, cpu if count * cpu <= num_cpus else max(1, num_cpus // count), 1 / count) for count in counts]


def _on_cpus(num_cpus: int) -> list[Way]:
    ways, threads = [], num_cpus
    while threads:
        ways.append(Way(num_cpus // threads, threads, 0))
        threads //= 2
    return ways


def _rising(ways: Sequence[Way], most: int) -> tuple[Way, ...]:
    fit = [way for way in dict.fromkeys(ways) if way.trials <= max(1, most) and way.processes <= MOST_PROCESSES]
    return tuple(sorted(fit, key=lambda way: (way.trials, -way.cpu)))
