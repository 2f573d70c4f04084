"""Packings of trials on one device: those to try, the result of each, and the one to propose.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

from absgd.counts import plural
from tune_runs.space.resources import ResourcesConfig

TRIAL_COUNTS = (1, 2, 4, 8)
"""Numbers of simultaneous trials tried on a GPU and in a cohort."""
MAX_PROCESSES = 32
"""Most simultaneous processes in a probe, however many CPUs the machine has."""
MOST_SPEEDUP = 2.0
"""Largest speedup of trials at once over one alone, for each of them, that is believed."""
ENOUGH_SHARE = 0.95
"""The fewest trials that reach this share of the largest measured throughput are proposed."""


@dataclasses.dataclass(frozen=True)
class Packing:
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
        """Trials of all processes together."""
        return self.processes * self.cohort

    @property
    def threads(self) -> int:
        """Threads of each process."""
        return max(1, int(self.cpu))

    @property
    def words(self) -> str:
        """The `resources` of a space that ask for this packing.

        >>> Packing(processes=8, cpu=2, gpu=0.125).words, Packing(processes=1, cpu=4, gpu=1, cohort=8).words
        ('{cpu: 2, gpu: 0.125}', '{cpu: 4, gpu: 1, cohort: 8}')
        """
        cohort = f", cohort: {self.cohort}" if self.cohort > 1 else ""
        return f"{{cpu: {self.cpu:g}, gpu: {self.gpu:g}{cohort}}}"


class Speedup(NamedTuple):
    """Throughput over that of one trial alone in the same round: the extremes and the median over the rounds."""

    least: float
    median: float
    most: float


_NO_SPEEDUP = Speedup(math.nan, math.nan, math.nan)


@dataclasses.dataclass(frozen=True)
class PackingResult:
    """Throughput and memory of one packing, or why it was not measured."""

    packing: Packing
    images_per_s: float = math.nan
    """Images per second of all trials together, the median over the rounds."""
    speedup: Speedup = _NO_SPEEDUP
    num_rounds: int = 0
    """Rounds behind these numbers."""
    peak_bytes: int = 0
    """Memory of all processes together; 0 where it is unknown."""
    failure: str = ""
    """Why it was not measured."""


@dataclasses.dataclass(frozen=True)
class PackingProbe:
    """The results of all packings tried on one device."""

    scenario: str
    device: str
    """Name of the GPU, or the number of CPUs."""
    results: tuple[PackingResult, ...]
    own: Packing | None
    """The packing of the space itself; None where no trial of it fits here."""
    on_gpu: bool


def own_packing(resources: ResourcesConfig, num_cpus: int, num_gpus: int) -> Packing | None:
    """Return the packing that a space asks for on one device; None where no trial fits.

    >>> own_packing(ResourcesConfig(cpu=2), num_cpus=16, num_gpus=1)
    Packing(processes=4, cpu=2.0, gpu=0.25, cohort=1)

    Args:
        resources: those of a trial that has one process.
        num_cpus: CPUs of the machine.
        num_gpus: GPUs of the machine.
    """
    given = resources.on(num_gpus)
    gpu = given.gpu or 0.0
    cohort = given.cohort
    count = given.concurrent(num_cpus // num_gpus, 1) if gpu else given.concurrent(num_cpus, 0)
    return Packing(count // cohort, given.cpu, gpu, cohort) if count else None


def packings_to_try(
    own: Packing | None, cpu: float, num_cpus: int, num_gpus: int, most: int
) -> tuple[tuple[Packing, ...], tuple[Packing, ...]]:
    """Return packings with one process per trial, and packings whose trials share one process.

    Both lists rise in the number of trials and begin with one trial alone. On a GPU each process has the CPUs that the
    space gives it, or fewer where these processes would not fit otherwise. On CPUs the machine is divided: the threads
    of a process are halved until each process has one.

    Args:
        own: the packing of the space, which is tried too.
        cpu: CPUs of a process in the space.
        num_cpus: CPUs of the machine.
        num_gpus: GPUs of the machine, each with an equal part of the CPUs; 0: trials run on CPUs.
        most: largest number of simultaneous trials that the search could fill.
    """
    alone = _on_gpu(cpu, max(1, num_cpus // num_gpus)) if num_gpus else _on_cpus(num_cpus)
    shared = [dataclasses.replace(alone[0], cohort=count) for count in TRIAL_COUNTS if num_gpus or count <= num_cpus]
    own_alone, own_shared = ([own] if own and (own.cohort > 1) is several else [] for several in (False, True))
    return _rising([*alone, *own_alone], most), _rising([*shared, *own_shared], most)


def is_impossible(result: PackingResult) -> bool:
    """Whether the speedup is implausible: more than `MOST_SPEEDUP` times the number of trials.

    Somewhat more than their number is possible: one trial may be slower on all threads than on one.
    """
    return not result.failure and result.speedup.median > MOST_SPEEDUP * result.packing.trials


def impossible_words(result: PackingResult) -> str:
    """Return the implausible speedup in words."""
    trials, times = plural(result.packing.trials, "trial"), f"{result.speedup.median:.3g}"
    return f"{trials} at once cannot be {times} times as fast as one alone; other load on this machine may explain it"


def proposed_packing(results: Sequence[PackingResult]) -> PackingResult | None:
    """Return the result with the fewest trials among those near the largest throughput.

    None: nothing was measured, or a speedup is implausible.

    Fewer trials are better because early stopping compares a trial with those that came before it. Among packings of
    equally many trials the faster one is taken, by its speedup over one trial in the same rounds.
    """
    measured = [one for one in results if not one.failure]
    if any(map(is_impossible, measured)):
        return None
    most = max((one.speedup.median for one in measured), default=0.0)
    enough = [one for one in measured if one.speedup.median >= ENOUGH_SHARE * most]
    return min(enough, key=lambda one: (one.packing.trials, -one.speedup.median, one.packing.cohort), default=None)


def _on_gpu(cpu: float, num_cpus: int) -> list[Packing]:
    """Return packings of trials that share a GPU and its `num_cpus` CPUs."""
    counts = [count for count in TRIAL_COUNTS if count == 1 or count <= num_cpus or count * cpu <= num_cpus]
    return [
        Packing(count, cpu if count * cpu <= num_cpus else max(1, num_cpus // count), 1 / count) for count in counts
    ]


def _on_cpus(num_cpus: int) -> list[Packing]:
    packings, threads = [], num_cpus
    while threads:
        packings.append(Packing(num_cpus // threads, threads, 0))
        threads //= 2
    return packings


def _rising(packings: Sequence[Packing], most: int) -> tuple[Packing, ...]:
    fit = [
        packing
        for packing in dict.fromkeys(packings)
        if packing.trials <= max(1, most) and packing.processes <= MAX_PROCESSES
    ]
    return tuple(sorted(fit, key=lambda packing: (packing.trials, -packing.cpu)))
