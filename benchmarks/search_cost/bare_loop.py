"""A bare loop over Trainer: the speed at which an ideal search trains its epochs."""

from __future__ import annotations

import itertools
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Any

from absgd.config import RunConfig
from absgd.datasets import load_splits
from absgd.training import Trainer
from benchmarks.harness.command_line import CORES

EPOCHS, SWITCH = 20, 4


class BareLoop:
    """Loops over Trainer, one on each core at the same time, in persistent processes."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self._pool = ProcessPoolExecutor(CORES, context, _set_barrier, (context.Barrier(CORES),))

    def epoch_s(self, config: RunConfig) -> float:
        """Return seconds of an epoch, mostly of stage two; mean over cores."""
        run = config.with_values({"epochs": EPOCHS, "attention.switch_epoch": SWITCH})
        return statistics.fmean(self._pool.map(_epoch_s, [run.to_dict()] * CORES))


_barrier: Barrier


def _set_barrier(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _epoch_s(run: dict[str, Any]) -> float:
    config = RunConfig.from_dict(run)
    epochs = Trainer(config, load_splits(config)).epochs()
    warm = sum(1 for _ in itertools.islice(epochs, 2))
    _barrier.wait()
    started = time.perf_counter()
    trained = sum(1 for _ in epochs)
    assert warm + trained == config.epochs, "it did not diverge"
    return (time.perf_counter() - started) / trained
