"""The trials that a process of the probe trains: one alone, or several that take turns.

Imports torch, through `absgd.training`; neither Ray nor Optuna.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import torch

from absgd.config import RunConfig
from absgd.datasets import CommonImages, Splits
from absgd.records import EpochRecord
from absgd.training import Trainer
from absgd.training.cohort import TOGETHER_S, Cohort, RunEnded, RunFailed, prepare_cohort_process
from absgd.training.device import chosen_device
from tune_runs.preview.probe_processes import peak_bytes


class PassRequest(NamedTuple):
    """One pass asked of a process."""

    trials: int
    threads: int
    epochs: int


class OneTrial:
    """A trial that has a process to itself.

    Args:
        config: the run, with enough epochs for every pass.
        splits: the images that it trains on.
    """

    def __init__(self, config: RunConfig, splits: Splits) -> None:
        trainer = Trainer(config, splits)
        self._device, self._epochs = trainer.device, trainer.epochs()

    def __call__(self, asked: PassRequest) -> int:
        """Train `asked.epochs` epochs, and return the peak memory in bytes."""
        assert asked.trials == 1
        torch.set_num_threads(asked.threads)
        for _ in range(asked.epochs):
            next(self._epochs)
        return peak_bytes(self._device)


class TrialsInTurns:
    """A cohort as in a search: trials of one process that take turns and share their batches.

    Args:
        config: as for `OneTrial`, the same for all trials: forks of one trunk differ in three numbers.
        splits: the images that they train on.
        size: most trials of the cohort.
    """

    def __init__(self, config: RunConfig, splits: Splits, size: int) -> None:
        prepare_cohort_process()
        self._config, self._splits = config, splits
        self._device = chosen_device(self._config.device)
        later = itertools.count(0.0, TOGETHER_S)  # a clock on which no trial has to wait
        self._cohort: Cohort[EpochRecord] = Cohort(self._device, size, now=lambda: next(later))
        self._images = CommonImages()
        self._trainers: dict[str, Trainer] = {}
        self._next_epoch = 0

    def __call__(self, asked: PassRequest) -> int:
        """Train `asked.epochs` epochs of each of the first trials, and return the peak memory in bytes.

        Raises:
            Exception: the error that ended one of them.
        """
        torch.set_num_threads(asked.threads)
        left = {str(place): asked.epochs for place in range(asked.trials)}
        for name in left:
            self._begin(name)
        while left:
            for name, word in self._cohort.turn():
                if isinstance(word, RunFailed):
                    raise word.error
                assert not isinstance(word, RunEnded), "no epochs left"
                left[name] -= 1
                if left[name]:
                    self._cohort.resume(name)
                else:
                    del left[name]
        self._next_epoch += asked.epochs
        return peak_bytes(self._device)

    def _begin(self, name: str) -> None:
        """Begin with the epoch that all others train, whatever came before: batches are shared within an epoch only."""
        if name in self._trainers:
            self._trainers[name].next_epoch = self._next_epoch
            self._cohort.resume(name)
        else:
            self._cohort.join(name, self._steps(name))

    def _steps(self, name: str) -> Iterator[EpochRecord | None]:
        trainer = Trainer(self._config, self._splits, self._device, batches_of=self._images.batches)
        trainer.next_epoch = self._next_epoch
        self._trainers[name] = trainer
        yield from trainer.steps()
