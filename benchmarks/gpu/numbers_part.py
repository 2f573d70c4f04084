"""Part 3: the exact path against the CPU, fast against exact, captured steps against eager ones, resume and fork."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits
from absgd.training import Trainer
from benchmarks.gpu.compared_runs import (
    COMPARED,
    RESUMED_AFTER,
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
from benchmarks.harness.target_verdicts import TargetVerdict

CPU_TOLERANCES = {"float32 everywhere": (False, 1e-3), "TF32 in convolutions, which torch allows": (True, 5e-3)}
"""Whether convolutions of a GPU may multiply in TF32, with 10 bits of mantissa, and the largest relative difference of
an epoch's losses and log u from the CPU's."""
CONTINUED_TOLERANCE = 5e-3
"""Largest relative difference after a resume or a fork; on a CPU there is none."""
FAST_TOLERANCE = 0.02
"""Largest difference of balanced validation accuracy from the exact path, mean over seeds: docs/speed.md."""
LEARNING_RUN: dict[str, Any] = {
    "attention.switch_epoch": 6,
    "optimizer.lr": 0.1,
    "schedule": {"type": "cosine", "warmup_epochs": 1},
    "epochs": 10,
    "batch_size": 32,
}
"""Changes of the run with which it learns enough to compare accuracies."""
TOY_LEARNING_RUN: dict[str, Any] = {"epochs": 2, "schedule.warmup_epochs": 1}
LEAST_ACCURACY = 0.8
"""Mean balanced accuracy of the exact path below which too little is learnt to compare."""
SEEDS = 3
FLOAT32_FAST = {"fast": True, "precision": "float32", "memory_format": "contiguous"}


def measure(job: PartJob) -> None:
    """Compare every path with the one that it must agree with."""
    config = small_run(job.is_dry_run, **{"device.type": job.device})
    splits = load_splits(config)
    job.measure("Exact path against the CPU", lambda: exact_against_cpu(config, splits))
    learning = config.with_values(TOY_LEARNING_RUN if job.is_dry_run else LEARNING_RUN)
    job.measure("Fast against exact", lambda: fast_against_exact(learning, splits, is_toy=job.is_dry_run))
    job.measure("Captured steps against eager ones", lambda: captured_against_eager(config, splits))
    job.measure("Resume and fork against a run from scratch", lambda: continued_against_scratch(config, splits))
    job.finish()


def exact_against_cpu(config: RunConfig, splits: Splits) -> PartSection:
    """Train on both devices, on the same batches."""
    on_cpu = trained(Trainer(config.with_values({"device.type": "cpu"}), splits, batches_of=batches_drawn_on_cpu))
    found, lines, faults = dict[str, NumberDifference](), list[str](), list[str]()
    for name, (allows_tf32, tolerance) in CPU_TOLERANCES.items():
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False, allow_tf32=allows_tf32):
            here = trained(Trainer(config, splits, batches_of=batches_drawn_on_cpu))
        found[name] = difference(here, on_cpu)
        lines += [f"{config.device.type} and cpu, {name}: {found[name]} (tolerance {tolerance:g})"]
        lines += _epoch_lines([here, on_cpu], (config.device.type, "cpu"))
        faults += [f"{name}: {fault}" for fault in within(found[name], tolerance)]
    return PartSection("", texts(lines), found, faults=tuple(faults))


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
    lines = [f"{'seed':>6} {'exact':>8} {'fast':>8}  (balanced validation accuracy after {config.epochs} epochs)"]
    lines += [f"{seed:>6} {one:8.4f} {other:8.4f}" for seed, (one, other) in enumerate(zip(exact, fast, strict=True))]
    if is_toy:
        return PartSection("", texts(lines), {"exact": exact, "fast": fast})
    faults, verdict = accuracy_faults(exact, fast), accuracy_verdict(exact, fast)
    return PartSection("", texts(lines), {"exact": exact, "fast": fast}, (verdict,), tuple(faults))


def accuracy_verdict(exact: Sequence[float], fast: Sequence[float]) -> TargetVerdict:
    """Compare accuracies of the same seeds with what docs/speed.md promises.

    >>> print(accuracy_verdict([0.9, 0.9], [0.89, 0.9]))
    met: fast within 2 points of exact, got -0.50 (standard error 0.50)
    """
    mean, error = _paired(exact, fast)
    wanted = f"fast within {100 * FAST_TOLERANCE:g} points of exact"
    return TargetVerdict(
        abs(mean) <= FAST_TOLERANCE, f"{wanted}, got {100 * mean:+.2f} (standard error {100 * error:.2f})"
    )


def accuracy_faults(exact: Sequence[float], fast: Sequence[float]) -> list[str]:
    """Return what is wrong beyond the luck of few seeds.

    >>> accuracy_faults([0.9, 0.9], [0.86, 0.87])
    ['-3.50 points are more than 2 by over two standard errors of 0.50']
    """
    faults, (mean, error) = [], _paired(exact, fast)
    if abs(mean) > FAST_TOLERANCE + 2 * error:
        points = f"{100 * mean:+.2f} points are more than {100 * FAST_TOLERANCE:g}"
        faults.append(f"{points} by over two standard errors of {100 * error:.2f}")
    if statistics.fmean(exact) < LEAST_ACCURACY:
        faults.append(f"the exact path reaches {statistics.fmean(exact):.2f}, too little to compare")
    return faults


def _paired(exact: Sequence[float], fast: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard error of fast - exact over seeds."""
    distances = [other - one for one, other in zip(exact, fast, strict=True)]
    return statistics.fmean(distances), statistics.stdev(distances) / len(distances) ** 0.5


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
            "resumed": partial(trained_after_resume, run, splits, RESUMED_AFTER),
            "forked": partial(trained_as_fork, run, splits),
        }
        for way, train in ways.items():
            name = f"{kind}, {way}"
            found[name] = difference(train(), scratch)
            faults += [f"{name}: {fault}" for fault in within(found[name], CONTINUED_TOLERANCE)]
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
