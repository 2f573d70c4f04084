"""Seconds of an epoch on this machine: the control of each scenario, and a trial after its switch, trained briefly.

Imports torch, through `absgd.training`; neither Ray nor Optuna.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import NamedTuple

import numpy as np
import torch

from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits
from absgd.datasets.images import Indices
from absgd.errors import UserError
from absgd.training import Diverged, Trainer
from absgd.training.device import out_of_memory_as_user_error
from tune_runs.preview.scenario_cost import EpochTime
from tune_runs.space.boundary import boundary_runs
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.trunks.scenario_plan import ScenarioPlan

BUDGET_S = 10.0
"""Seconds for each stage of a scenario; the first batch is trained even if it takes longer."""
ALL_S = 40.0
"""Seconds for all scenarios together, which divide them where they are many."""
LIMIT_S = 60.0
"""Seconds after which measuring ends, whatever is being trained; reading data is not included."""
LEARNING_RATE = 1e-6
"""Learning rate while measuring: it does not change the time of a step, and hardly any run diverges with it."""
_MAX_EPOCHS = 9  # whole epochs trained at most, where the time allows


def measure_epoch_times(
    space: SearchSpace,
    plans: Mapping[str, ScenarioPlan],
    say: Callable[[str], None],
    budget_s: float = BUDGET_S,
    limit_s: float = LIMIT_S,
) -> dict[str, EpochTime]:
    """Train a few epochs of each scenario, one run at a time, on the device that a trial's resources give it.

    Args:
        space: the search space.
        plans: the plan of each of its scenarios.
        say: receives a line as each scenario begins, and for each that takes too long.
        budget_s: seconds for each stage of a scenario.
        limit_s: seconds after which nothing more is trained.

    Returns:
        Scenario -> times; a scenario is left out where not even one batch of each stage was trained in time.

    Raises:
        UserError: if the data cannot be read, there is no such device, it has no memory left, or a loss is not finite.
    """
    times = {}
    budget_s = min(budget_s, ALL_S / (2 * len(plans)))
    for number, (name, plan) in enumerate(plans.items(), start=1):
        say(f"measuring {name} ({number} of {len(plans)}), at most {2 * budget_s:.2g} s, or one batch of each stage")
        splits = load_splits(plan.control)
        began = time.monotonic()
        try:
            with time_limit(max(limit_s, 0.1)):
                times[name] = _scenario_time(space, plan, splits, budget_s)
        except TimeLimitReached:
            say(f"{name} was not measured: a batch of each stage takes longer than the {limit_s:.2g} s left for it")
        limit_s -= time.monotonic() - began
    return times


class TimeLimitReached(Exception):  # noqa: N818 - names an event
    """The time of a `time_limit` is over."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeLimitReached inside the block once it has lasted so long; only in the main thread, and where it can.

    A signal interrupts the block between two operations of torch, and again every second in case that is swallowed. It
    interrupts neither what ends the block, such as processes that are stopped, nor what follows.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    is_inside = True

    def stop(_number: int, frame: FrameType | None) -> None:
        if is_inside and not _is_leaving(frame):
            raise TimeLimitReached

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        is_inside = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


def _is_leaving(frame: FrameType | None) -> bool:
    """Whether a block is being left: an exception unwinds it, or its context manager runs."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, TimeLimitReached):
        error = error.__context__
    return error is not None or (frame is not None and frame.f_globals.get("__name__") == contextlib.__name__)


def _scenario_time(space: SearchSpace, plan: ScenarioPlan, splits: Splits, budget_s: float) -> EpochTime:
    control, trial = plan.control, stage_two_config(space, plan.scenario)
    plain = _PartialEpochs(control, splits)
    try:
        with out_of_memory_as_user_error(control):
            stage_one = stage_two = seconds_of_epoch(plain.train, plain.num_batches, budget_s)
        if trial is not None:
            trial = trial.with_values({"optimizer.sam_rho": control.optimizer.sam_rho})  # or the passes would differ
            with out_of_memory_as_user_error(trial):
                stage_two = seconds_of_epoch(_PartialEpochs(trial, splits).train, plain.num_batches, budget_s)
    except Diverged as error:
        raise UserError(f"cannot measure `{plan.name}`: {error} (--measure)") from None
    share = min(stage_one.share, stage_two.share)
    return EpochTime(stage_one.seconds, stage_two.seconds, plain.snapshot_bytes(), share)


def stage_two_config(space: SearchSpace, scenario: Scenario) -> RunConfig | None:
    """Return a trial that is in stage two from its first epoch on; None where no trial has a stage two."""
    configs = (RunConfig.from_dict(settings) for _, settings in boundary_runs(space, scenario))
    trial = next((config for config in configs if config.attention is not None), None)
    return trial.with_values({"attention.switch_epoch": 0}) if trial else None


class EpochEstimate(NamedTuple):
    """Time of a whole epoch, extrapolated from the part that was trained."""

    seconds: float
    share: float
    """Share of the epoch that was trained in one piece."""


def seconds_of_epoch(train: Callable[[int], float], num_batches: int, budget_s: float) -> EpochEstimate:
    """Estimate the seconds of a whole epoch: the median of a few whole epochs, or of the largest part that fits.

    The first batch warms up. Then more of the epoch is trained, each time at most as much as half of the remaining time
    allows.

    Args:
        train: trains the given number of batches of an epoch, validates on as large a part, and returns the seconds.
        num_batches: batches of a whole epoch.
        budget_s: seconds after which nothing more is begun.
    """
    batches, seconds, is_warm = 1, [train(1)], False
    spent = seconds[0]
    while spent < budget_s and len(seconds) < _MAX_EPOCHS:
        allowed = min(num_batches, int(batches * (budget_s - spent) / 2 / seconds[-1]))
        if not is_warm or allowed > batches:
            batches, seconds, is_warm = max(batches, allowed), [], True
        elif batches < num_batches:
            break
        seconds.append(train(batches))
        spent += seconds[-1]
    share = batches / num_batches
    return EpochEstimate(statistics.median(seconds) / share, share)


class _PartialEpochs:
    """Trains parts of epochs of one config."""

    def __init__(self, config: RunConfig, splits: Splits) -> None:
        epochs = max(config.epochs, _MAX_EPOCHS + 2)
        self._config = config.with_values({"epochs": epochs, "optimizer.lr": LEARNING_RATE})
        self._splits = splits
        self._batches = 0
        self._trainer: Trainer | None = None
        self.num_batches = math.ceil(len(splits.train) / config.batch_size)

    def train(self, batches: int) -> float:
        """Train `batches` batches of an epoch, validate on as large a part of the images, and return the seconds."""
        if self._trainer is None or batches != self._batches:
            self._batches = batches
            self._trainer = Trainer(self._config, part_of(self._splits, batches, self.num_batches))
            if self._trainer.device_options.cuda_graph:
                next(self._trainer.epochs())  # captures the CUDA graph
        started = time.perf_counter()
        next(self._trainer.epochs())
        return time.perf_counter() - started

    def snapshot_bytes(self) -> int:
        """Return the size of the training state after an epoch."""
        assert self._trainer is not None, "nothing was trained"
        buffer = io.BytesIO()
        torch.save(self._trainer.state_dict(), buffer)
        return buffer.tell()


def part_of(splits: Splits, batches: int, num_batches: int) -> Splits:
    """Return `batches` of an epoch's batches and as large a part of the validation images, evenly spread over all."""
    if batches == num_batches:
        return splits
    train_M, val_M = (_evenly_spread(len(images), batches / num_batches) for images in (splits.train, splits.val))
    return dataclasses.replace(
        splits,
        train=splits.train.take(train_M),
        val=splits.val.take(val_M),
        train_index_N=splits.train_index_N[train_M],
        changed_N=splits.changed_N[train_M],
    )


def _evenly_spread(num_images: int, share: float) -> Indices:
    return np.linspace(0, num_images - 1, max(1, round(num_images * share))).astype(np.int64)
