"""Throughput of different numbers of simultaneous trials on one device of this machine: real trials, for seconds.

Two kinds of packing are measured: one process per trial, and one process whose trials take turns. Every round trains
every packing of a kind, in random order, so that other load on the machine falls on all of them.
Imports torch, through `absgd.training`; neither Ray nor Optuna.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch

from absgd.config import RunConfig
from absgd.counts import plural
from absgd.datasets import Splits, load_splits
from absgd.training import gpu_names
from tune_runs.preview.epoch_times import LEARNING_RATE, part_of, stage_two_config
from tune_runs.preview.packings import (
    Packing,
    PackingProbe,
    PackingResult,
    Speedup,
    impossible_words,
    is_impossible,
    own_packing,
    packings_to_try,
)
from tune_runs.preview.probe_processes import ProbeProcesses, ProbeProcessLost, TimedPass, TrainOnRequest, span_s
from tune_runs.preview.probe_trials import OneTrial, PassRequest, TrialsInTurns
from tune_runs.space.model import SearchSpace
from tune_runs.trunks.scenario_plan import ScenarioPlan

NUM_ROUNDS = 5
KIND_S = 20.0
"""Seconds of training for each kind of packing; starting the processes is not included."""
KIND_LIMIT_S = 60.0
"""Seconds after which a kind ends, whatever its processes do; starting them and a second look are included."""
_LEAST_PASS_S, _LONGEST_PASS_S = 0.2, 1.0
_EPOCHS = 10**6
_NO_TIME = "no time was left"

TrainPacking = Callable[[Packing], list[TimedPass]]
"""Trains all trials of a packing for one pass."""
MemoryOf = Callable[[Sequence[TimedPass]], int]
"""Bytes held by all processes together, from their passes."""


class PassWorkload(NamedTuple):
    """The training of one trial in one pass."""

    splits: Splits
    epochs: int

    @property
    def num_images(self) -> int:
        """Images that the trial trains on."""
        return len(self.splits.train) * self.epochs


def probe_packings(
    space: SearchSpace,
    plan: ScenarioPlan,
    epoch_s: float,
    num_cpus: int,
    num_gpus: int,
    say: Callable[[str], None],
    kind_s: float = KIND_S,
) -> PackingProbe:
    """Train trials of one scenario at the same time on one device, in stage two where they have one.

    A packing that fails has a result with the reason, and no larger one of its kind is tried.

    Args:
        space: the search space, whose trials have one process each.
        plan: the plan of the scenario.
        epoch_s: approximate seconds of an epoch of such a trial that trains alone.
        num_cpus: CPUs of this machine.
        num_gpus: GPUs of this machine; one of them is tried, with its part of the CPUs.
        say: receives a line before each kind of packing is trained.
        kind_s: seconds of training for each kind: one process per trial, and a cohort.

    Raises:
        UserError: if the data cannot be read.
    """
    resources = space.resources.on(num_gpus)
    gpus = num_gpus if resources.gpu else 0
    own = own_packing(space.resources, num_cpus, gpus)
    most = space.num_trials * len(space.scenario_list)
    alone, shared = packings_to_try(own, resources.cpu, num_cpus, gpus, most)
    config = stage_two_config(space, plan.scenario) or plan.control
    work = pass_workload(load_splits(config), config.batch_size, epoch_s, pass_s((alone, shared), kind_s))
    probed = _probed(config, "cuda" if gpus else "cpu")

    def measured(make: Callable[[], TrainOnRequest], packings: Sequence[Packing], words: str) -> list[PackingResult]:
        counts = ", ".join(str(packing.trials) for packing in packings)
        say(f"probing {plan.name}: {counts} {words}, {kind_s:g} s of training, or one batch each")

        def once(left_s: float) -> list[PackingResult]:
            with ProbeProcesses(make, left_s) as processes:
                train = partial(_train, processes, work.epochs)
                return measured_packings(train, packings, work.num_images, _memory_of(bool(gpus)), kind_s)

        return looked_at_twice(once, say)

    results = measured(partial(OneTrial, probed, work.splits), alone, "trials at once, one process each")
    if len(shared) > 1:
        cohort = partial(TrialsInTurns, probed, work.splits, max(packing.cohort for packing in shared))
        results += without_repeated(measured(cohort, shared, "trials taking turns in one process"), shared[0])
    device = gpu_names()[0] if gpus else plural(num_cpus, "CPU")
    return PackingProbe(plan.name, device, tuple(results), own, bool(gpus))


def looked_at_twice(
    measure: Callable[[float], list[PackingResult]], say: Callable[[str], None], limit_s: float = KIND_LIMIT_S
) -> list[PackingResult]:
    """Measure packings, and once more where a speedup is implausible: other load may have fallen on one of them.

    Args:
        measure: measures all packings of a kind within the given seconds.
        say: receives a line before a second measurement.
        limit_s: seconds for both.
    """
    began = time.monotonic()
    first = measure(limit_s)
    doubtful = next(filter(is_impossible, first), None)
    if doubtful is None:
        return first
    say(f"measuring again: {impossible_words(doubtful)}")
    second = measure(max(1.0, limit_s - (time.monotonic() - began)))
    return second if any(not one.failure for one in second) else first


def without_repeated(results: Sequence[PackingResult], packing: Packing) -> list[PackingResult]:
    """Leave out the measurement of a packing that the other kind has too; its failure stays."""
    return [one for one in results if one.failure or one.packing != packing]


def measured_packings(
    train: TrainPacking,
    packings: Sequence[Packing],
    num_images: int,
    memory: MemoryOf,
    kind_s: float,
) -> list[PackingResult]:
    """Measure packings of one kind: each once for its memory, until one fails or half the time is used, then in rounds.

    The first two packings and the first round are trained however long they take.

    Args:
        train: trains all trials of a packing for one pass; raises ProbeProcessLost where a process is lost, and starts
            new processes when called again.
        packings: in rising order; the first is one trial alone.
        num_images: images that a trial trains on in a pass.
        memory: gives the bytes held by all processes together, from their passes.
        kind_s: seconds of training.
    """
    peaks, used_s, failures = _warmed_up(train, packings, memory, kind_s / 2)
    was_lost = any(words != _NO_TIME for words in failures.values())
    rounds, lost = _rounds(train, list(peaks), was_lost, num_images, kind_s - used_s)
    measured = [packing for packing in peaks if rounds and packing not in lost]
    unmeasured = [] if rounds else [packing for packing in peaks if packing not in lost]
    failures = {**dict.fromkeys(unmeasured, _NO_TIME), **lost, **failures}
    return [
        *(_result(packing, rounds, packings[0], peaks[packing]) for packing in measured),
        *(PackingResult(packing, failure=words) for packing, words in failures.items()),
    ]


def _warmed_up(
    train: TrainPacking,
    packings: Sequence[Packing],
    memory: MemoryOf,
    until_s: float,
) -> tuple[dict[Packing, int], float, dict[Packing, str]]:
    """Train each packing once.

    Returns:
        The bytes held by each packing that was trained, the seconds used, and the reason why the next one was not.
    """
    peaks: dict[Packing, int] = {}
    used_s = 0.0
    for packing in packings:
        if len(peaks) > 1 and used_s > until_s:
            return peaks, used_s, {packing: _NO_TIME}
        try:
            passes = train(packing)
        except ProbeProcessLost as error:
            return peaks, used_s, {packing: _words(error)}
        peaks[packing] = memory(passes)
        used_s += span_s(passes)
    return peaks, used_s, {}


def _rounds(
    train: TrainPacking,
    packings: Sequence[Packing],
    begins_anew: bool,
    num_images: int,
    left_s: float,
) -> tuple[list[dict[Packing, float]], dict[Packing, str]]:
    """Return the images per second of each packing in each round, and the failure that ended the rounds, if any."""
    rounds: list[dict[Packing, float]] = []
    order, longest_s = random.Random(0), 0.0
    warm_up = packings[-1:] if begins_anew else []
    while packings and len(rounds) < NUM_ROUNDS and (not rounds or longest_s <= left_s):
        found: dict[Packing, list[TimedPass]] = {}  # a packing trained twice keeps its second pass
        for packing in [
            *([] if rounds else warm_up),
            *order.sample(packings, len(packings)),
        ]:
            try:
                found[packing] = train(packing)
            except ProbeProcessLost as error:
                return rounds, {packing: _words(error)}
        rounds.append({packing: packing.trials * num_images / span_s(passes) for packing, passes in found.items()})
        longest_s = max(longest_s, sum(map(span_s, found.values())))
        left_s -= longest_s
    return rounds, {}


def _result(packing: Packing, rounds: Sequence[dict[Packing, float]], one: Packing, peak_bytes: int) -> PackingResult:
    ratios = [speeds[packing] / speeds[one] for speeds in rounds]
    speedup = Speedup(min(ratios), statistics.median(ratios), max(ratios))
    return PackingResult(
        packing, statistics.median(speeds[packing] for speeds in rounds), speedup, len(rounds), peak_bytes
    )


def _words(error: ProbeProcessLost) -> str:
    return "out of GPU memory" if error.is_gpu_memory else str(error)


def pass_s(kinds: Sequence[Sequence[Packing]], kind_s: float) -> float:
    """Return the seconds of a pass of one trial alone, short enough that all rounds of a kind fit without any speedup.

    >>> pass_s([[Packing(1, 2, 0), Packing(2, 1, 0)]], kind_s=20)
    1.0
    """
    trials = max(sum(packing.trials for packing in packings) for packings in kinds)
    return min(_LONGEST_PASS_S, max(_LEAST_PASS_S, kind_s / (NUM_ROUNDS + 1) / trials))


def pass_workload(splits: Splits, batch_size: int, epoch_s: float, seconds: float) -> PassWorkload:
    """Return about `seconds` of training: a part of an epoch, at least one batch, or several short epochs.

    Args:
        splits: images of the run.
        batch_size: images of a batch.
        epoch_s: seconds of a whole epoch.
        seconds: seconds of the pass.
    """
    num_batches = math.ceil(len(splits.train) / batch_size)
    if epoch_s > seconds:
        return PassWorkload(part_of(splits, max(1, int(num_batches * seconds / epoch_s)), num_batches), 1)
    return PassWorkload(splits, round(seconds / epoch_s))


def _probed(config: RunConfig, device: str) -> RunConfig:
    """Return a run that trains as many epochs as requested, with the threads of each request."""
    values = {"device.type": device, "device.threads": None, "epochs": _EPOCHS, "optimizer.lr": LEARNING_RATE}
    return config.with_values(values)


def _train(processes: ProbeProcesses, epochs: int, packing: Packing) -> list[TimedPass]:
    return processes.train([PassRequest(packing.cohort, packing.threads, epochs)] * packing.processes)


def _memory_of(on_gpu: bool) -> MemoryOf:
    """Return a function that gives the memory of all processes started from now on."""
    if not on_gpu:
        return _held
    gc.collect()
    torch.cuda.empty_cache()
    free_before, _ = torch.cuda.mem_get_info()

    def taken(passes: Sequence[TimedPass]) -> int:
        """Count CUDA's own memory in each process; at least what torch holds, should other processes have ended."""
        return max(_held(passes), free_before - torch.cuda.mem_get_info()[0])

    return taken


def _held(passes: Sequence[TimedPass]) -> int:
    return sum(one.peak_bytes for one in passes)
