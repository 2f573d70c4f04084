"""How many trials at once a device of this machine is good for, measured: real trials, trained for seconds.

Trials in a process each, and trials that take turns in one; the numbers at once are trained in turn, round after round,
so that what else the machine does falls on all of them.
Imports torch, through `absgd.training`; neither Ray nor Optuna.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits
from absgd.training import gpu_names
from tune_runs.preview.epoch_times import LEARNING_RATE, part_of, stage_two_config
from tune_runs.preview.packings import Probe, Row, Way, own_way, ways_to_try
from tune_runs.preview.probe_processes import Pass, Processes, RunLost, span_s
from tune_runs.preview.probe_trials import Ask, OneTrial, TrialsInTurns
from tune_runs.space.model import SearchSpace
from tune_runs.trunks.scenario_plan import ScenarioPlan

NUM_ROUNDS = 5
KIND_S = 20.0
"""Seconds of training for processes, and again for a cohort; their start comes on top."""
_LEAST_PASS_S, _LONGEST_PASS_S = 0.2, 1.0
_EPOCHS = 10**6
_NO_TIME = "no time was left"


class Load(NamedTuple):
    """What a trial trains each time it is asked."""

    splits: Splits
    epochs: int

    @property
    def num_images(self) -> int:
        """That it trains on."""
        return len(self.splits.train) * self.epochs


def probe(
    space: SearchSpace,
    plan: ScenarioPlan,
    epoch_s: float,
    num_cpus: int,
    num_gpus: int,
    say: Callable[[str], None],
    kind_s: float = KIND_S,
) -> Probe:
    """Train trials of one scenario at once, in stage two where they have one, on one device.

    What fails is a row that says so, and nothing larger of its kind is tried.

    Args:
        space: the search space, whose trials have one process each.
        plan: of the scenario.
        epoch_s: seconds that an epoch of such a trial takes alone, about.
        num_cpus: of this machine.
        num_gpus: of this machine; one of them is tried, with its part of the CPUs.
        say: told a line before anything is trained.
        kind_s: seconds of training for each kind: processes, and a cohort.

    Raises:
        UserError: if the data cannot be read.
    """
    resources = space.resources.on(num_gpus)
    gpus = num_gpus if resources.gpu else 0
    own = own_way(space.resources, num_cpus, gpus)
    most = space.num_trials * len(space.scenario_list)
    kinds = ways_to_try(own, resources.cpu, num_cpus, gpus, most)
    config = stage_two_config(space, plan.scenario) or plan.control
    load = load_of(load_splits(config), config.batch_size, epoch_s, pass_s(kinds, kind_s))
    settings = _settings(config, "cuda" if gpus else "cpu")
    rows: list[Row] = []
    for ways, is_cohort in zip(kinds, (False, True), strict=True):
        if is_cohort and len(ways) == 1:
            continue
        counts = ", ".join(str(way.trials) for way in ways)
        said = "trials taking turns in one process" if is_cohort else "trials at once, a process each"
        say(f"probing {plan.name}: {counts} {said}, {kind_s:g} s of training, or a batch each")
        size = max(way.cohort for way in ways)
        make = (
            partial(TrialsInTurns, settings, load.splits, size)
            if is_cohort
            else partial(OneTrial, settings, load.splits)
        )
        with Processes(make) as processes:
            found = measured_rows(
                partial(_train, processes, load.epochs), ways, load.num_images, _memory_of(bool(gpus)), kind_s
            )
        rows += without_measured(found, ways[0]) if is_cohort else found
    device = gpu_names()[0] if gpus else f"{num_cpus} CPUs"
    return Probe(plan.name, device, tuple(rows), own, bool(gpus))


def without_measured(rows: Sequence[Row], way: Way) -> list[Row]:
    """All rows but what one way came to, which stands there already; why it failed stays."""
    return [row for row in rows if row.failure or row.way != way]


def measured_rows(
    train: Callable[[Way], list[Pass]],
    ways: Sequence[Way],
    num_images: int,
    memory: Callable[[Sequence[Pass]], int],
    kind_s: float,
) -> list[Row]:
    """Each way once, for its memory, until one fails or half of the time is used; then round after round.

    Two ways and one round are trained however long they take.

    Args:
        train: lets all trials of a way train; raises RunLost where one is lost, and begins anew when called again.
        ways: rising; the first is one trial alone.
        num_images: that a trial trains on each time.
        memory: of all processes together, from what each held, in bytes.
        kind_s: seconds of training.
    """
    peaks, used_s, failures = _warmed_up(train, ways, memory, kind_s / 2)
    was_lost = any(words != _NO_TIME for words in failures.values())
    rounds, lost = _rounds(train, list(peaks), was_lost, num_images, kind_s - used_s)
    measured = [way for way in peaks if rounds and way not in lost]
    failures = {**lost, **failures}
    return [
        *(_row(way, rounds, ways[0], peaks[way]) for way in measured),
        *(Row(way, failure=words) for way, words in failures.items()),
    ]


def _warmed_up(
    train: Callable[[Way], list[Pass]], ways: Sequence[Way], memory: Callable[[Sequence[Pass]], int], until_s: float
) -> tuple[dict[Way, int], float, dict[Way, str]]:
    """Memory of each way that was trained once, in bytes, the seconds, and why the first of the others was not."""
    peaks: dict[Way, int] = {}
    used_s = 0.0
    for way in ways:
        if len(peaks) > 1 and used_s > until_s:
            return peaks, used_s, {way: _NO_TIME}
        try:
            passes = train(way)
        except RunLost as error:
            return peaks, used_s, {way: _words(error)}
        peaks[way] = memory(passes)
        used_s += span_s(passes)
    return peaks, used_s, {}


def _rounds(
    train: Callable[[Way], list[Pass]], ways: Sequence[Way], begins_anew: bool, num_images: int, left_s: float
) -> tuple[list[dict[Way, float]], dict[Way, str]]:
    """Images per second of each way in each round, and why one was lost, with which the rounds end."""
    rounds: list[dict[Way, float]] = []
    order, longest_s = random.Random(0), 0.0
    warm_up = ways[-1:] if begins_anew else []
    while ways and len(rounds) < NUM_ROUNDS and (not rounds or longest_s <= left_s):
        found: dict[Way, list[Pass]] = {}
        for way in [*([] if rounds else warm_up), *order.sample(ways, len(ways))]:  # the later pass counts
            try:
                found[way] = train(way)
            except RunLost as error:
                return rounds, {way: _words(error)}
        rounds.append({way: way.trials * num_images / span_s(passes) for way, passes in found.items()})
        longest_s = max(longest_s, sum(map(span_s, found.values())))
        left_s -= longest_s
    return rounds, {}


def _row(way: Way, rounds: Sequence[dict[Way, float]], one: Way, peak_bytes: int) -> Row:
    ratios = [speeds[way] / speeds[one] for speeds in rounds]
    of_one = min(ratios), statistics.median(ratios), max(ratios)
    return Row(way, statistics.median(speeds[way] for speeds in rounds), of_one, len(rounds), peak_bytes)


def _words(error: RunLost) -> str:
    return "out of GPU memory" if error.is_gpu_memory else str(error)


def pass_s(kinds: Sequence[Sequence[Way]], kind_s: float) -> float:
    """Seconds that one trial alone is to train each time, so that all rounds of a kind fit even if nothing is gained.

    >>> pass_s([[Way(1, 2, 0), Way(2, 1, 0)]], kind_s=20)
    1.0
    """
    trials = max(sum(way.trials for way in ways) for ways in kinds)
    return min(_LONGEST_PASS_S, max(_LEAST_PASS_S, kind_s / (NUM_ROUNDS + 1) / trials))


def load_of(splits: Splits, batch_size: int, epoch_s: float, seconds: float) -> Load:
    """About so many seconds of training: a part of an epoch, at least a batch, or several short epochs.

    Args:
        splits: of the run.
        batch_size: images of a batch.
        epoch_s: what a whole epoch takes.
        seconds: to train.
    """
    num_batches = math.ceil(len(splits.train) / batch_size)
    if epoch_s > seconds:
        return Load(part_of(splits, max(1, int(num_batches * seconds / epoch_s)), num_batches), 1)
    return Load(splits, round(seconds / epoch_s))


def _settings(config: RunConfig, device: str) -> dict[str, Any]:
    """Of a run that goes on for as long as it is asked, with the threads that it is told."""
    values = {"device.type": device, "device.threads": None, "epochs": _EPOCHS, "optimizer.lr": LEARNING_RATE}
    return config.with_values(values).to_dict()


def _train(processes: Processes, epochs: int, way: Way) -> list[Pass]:
    return processes.train([Ask(way.cohort, way.threads, epochs)] * way.processes)


def _memory_of(on_gpu: bool) -> Callable[[Sequence[Pass]], int]:
    """Memory of processes that are started from now on, together."""
    if not on_gpu:
        return _held
    gc.collect()
    torch.cuda.empty_cache()
    free_before, _ = torch.cuda.mem_get_info()

    def taken(passes: Sequence[Pass]) -> int:
        """With what CUDA itself takes in each process; at least what torch holds, where others left meanwhile."""
        return max(_held(passes), free_before - torch.cuda.mem_get_info()[0])

    return taken


def _held(passes: Sequence[Pass]) -> int:
    return sum(one.peak_bytes for one in passes)
