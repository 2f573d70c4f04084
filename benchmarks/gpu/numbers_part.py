"""Part 3: the exact path against the CPU, fast against exact, captured steps against eager ones, resume and fork."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits
from absgd.training import Trainer
from benchmarks.gpu.compared_runs import (
    COMPARED,
    NumberDifference,
    TrainedNumbers,
    batches_drawn_on_cpu,
    captured_and_eager,
    difference,
    small_run,
    trained,
    trained_after_resume,
    trained_as_fork,
)
from benchmarks.gpu.part_job import PartJob, texts
from benchmarks.gpu.part_records import PartSection

CPU_TOLERANCE = 0.02
"""Largest relative difference of an epoch's losses and log u between the exact path of a GPU and the CPU.

Convolutions of a GPU multiply in TF32 unless torch is told otherwise, with 10 bits of mantissa, and a few epochs add to
that.
"""
CPU_EPOCHS = 3
FAST_TOLERANCE = 0.02
"""Largest difference of balanced validation accuracy from the exact path, mean over seeds: docs/speed.md."""
RESUME_TOLERANCE = 0.02
"""Largest relative difference after a resume or a fork; on a CPU there is none."""
SEEDS = 3
FLOAT32_FAST = {"fast": True, "precision": "float32", "memory_format": "contiguous"}


def measure(job: PartJob) -> None:
    """Compare every path with the one that it must agree with."""
    config = small_run(job.is_dry_run, **{"device.type": job.device})
    splits = load_splits(config)
    job.measure("Exact path against the CPU", lambda: exact_against_cpu(config, splits))
    job.measure("Fast against exact", lambda: fast_against_exact(config, splits, is_toy=job.is_dry_run))
    job.measure("Captured steps against eager ones", lambda: captured_against_eager(config, splits))
    job.measure("Resume and fork against a run from scratch", lambda: continued_against_scratch(config, splits))
    job.finish()


def exact_against_cpu(config: RunConfig, splits: Splits) -> PartSection:
    """Train the first epochs on both devices, on the same batches."""
    short = config.with_values({"epochs": min(config.epochs, CPU_EPOCHS), "attention.switch_epoch": 1})
    on_cpu = short.with_values({"device.type": "cpu"})
    runs = [trained(Trainer(run, splits, batches_of=batches_drawn_on_cpu)) for run in (short, on_cpu)]
    found = difference(*runs)
    lines = [f"{config.device.type} and cpu, {short.epochs} epochs, the switch after the first: {found}"]
    lines += _epoch_lines(runs, (config.device.type, "cpu"))
    faults = within(found, CPU_TOLERANCE)
    return PartSection("", texts(lines), found, faults=faults)


def within(found: NumberDifference, tolerance: float) -> tuple[str, ...]:
    """Return what is wrong where numbers differ by more than a tolerance, or are none."""
    if found.largest <= tolerance:
        return ()
    return (f"numbers differ by {found.largest:.3g}, more than {tolerance:g}",)


def fast_against_exact(config: RunConfig, splits: Splits, is_toy: bool) -> PartSection:
    """Compare the last balanced validation accuracy over seeds."""

    def accuracies(fast: bool) -> list[float]:
        runs = [config.with_values({"seeds.train": seed, "device.fast": fast}) for seed in range(SEEDS)]
        return [list(Trainer(run, splits).epochs())[-1].val_balanced_accuracy for run in runs]

    exact, fast = accuracies(False), accuracies(True)
    distance = statistics.fmean(fast) - statistics.fmean(exact)
    lines = [f"{'seed':>6} {'exact':>8} {'fast':>8}  (balanced validation accuracy after {config.epochs} epochs)"]
    lines += [f"{seed:>6} {one:8.4f} {other:8.4f}" for seed, (one, other) in enumerate(zip(exact, fast, strict=True))]
    lines.append(f"fast - exact: {100 * distance:+.2f} points, mean over {SEEDS} seeds")
    faults = []
    if abs(distance) > FAST_TOLERANCE and not is_toy:
        faults.append(f"{100 * distance:+.2f} points are more than {100 * FAST_TOLERANCE:g}")
    return PartSection("", texts(lines), {"exact": exact, "fast": fast}, faults=tuple(faults))


def captured_against_eager(config: RunConfig, splits: Splits) -> PartSection:
    """Compare captured steps with the same steps taken one by one, bit by bit."""
    kinds: dict[str, dict[str, Any]] = {"float32, contiguous": FLOAT32_FAST, "fast": {"fast": True}}
    if config.device.type == "cpu":
        kinds = {"float32, the body repeated in place of a graph": {}}
    found, lines, faults = dict[str, NumberDifference](), list[str](), list[str]()
    for name, options in kinds.items():
        captured, eager = captured_and_eager(config, splits, options)
        found[name] = difference(trained(captured), trained(eager))
        lines.append(f"{name}: {found[name]}")
        if not found[name].same_bits:
            faults.append(f"{name}: captured steps give other bits than eager ones")
    return PartSection("", texts(lines), found, faults=tuple(faults))


def continued_against_scratch(config: RunConfig, splits: Splits) -> PartSection:
    """Compare a resumed run and a fork with the run from scratch; on a CPU bit by bit, on a GPU within a tolerance."""
    found, faults = dict[str, NumberDifference](), list[str]()
    kinds: dict[str, dict[str, Any]] = {"exact": {}, "fast": {"device.fast": True}}
    for kind, options in kinds.items():
        run = config.with_values(options)
        scratch = trained(Trainer(run, splits))
        ways: dict[str, Callable[[], TrainedNumbers]] = {
            "resumed": partial(trained_after_resume, run, splits, max(1, run.epochs // 2)),
            "forked": partial(trained_as_fork, run, splits),
        }
        for way, train in ways.items():
            name = f"{kind}, {way}"
            found[name] = difference(train(), scratch)
            faults += [f"{name}: {fault}" for fault in within(found[name], RESUME_TOLERANCE)]
            if config.device.type == "cpu" and not found[name].same_bits:
                faults.append(f"{name}: other bits on a CPU")
    lines = [f"{name} against scratch: {one}" for name, one in found.items()]
    return PartSection("", texts(lines), found, faults=tuple(faults))


def _epoch_lines(runs: list[TrainedNumbers], names: tuple[str, str]) -> list[str]:
    """Return a table of the compared numbers, epoch by epoch."""
    lines = [f"{'epoch':>6} {'':>5} " + " ".join(f"{name:>14}" for name in COMPARED)]
    for records in zip(*(run.records for run in runs), strict=True):
        for name, record in zip(names, records, strict=True):
            values = [getattr(record, column) for column in COMPARED]
            cells = " ".join(f"{'-':>14}" if value is None else f"{value:14.8f}" for value in values)
            lines.append(f"{record.epoch:>6} {name:>5} {cells}")
    return lines
