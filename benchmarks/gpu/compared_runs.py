"""Small runs on every path of a device, and how far apart their numbers are."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from absgd.config import RunConfig
from absgd.datasets import Batches, ImageFiles, Images, Splits
from absgd.datasets.batch_shares import WHOLE, Share
from absgd.datasets.batches import Draw
from absgd.records import EpochRecord
from absgd.training import Trainer, load_checkpoint, save_checkpoint
from absgd.training.cuda_graph import GraphStep, Replay
from absgd.training.deferred_step import DeferredStep
from absgd.training.optimizer import build_optimizer
from absgd.training.sharpness import build_learner
from absgd.training.step import EpochSums, Learner, TrainingStep

COMPARED = ("train_loss", "val_loss", "log_u")
"""Numbers of an epoch that are compared: all are sums in a fixed order, on a GPU too."""
RUN: dict[str, Any] = {
    "data": {"name": "digits", "val_per_class": 30},
    "imbalance": {"type": "exp", "ratio": 0.1},
    "model": {"name": "resnet8"},
    "loss": {"name": "abce"},
    "attention": {"lam": 5.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 1},
    "class_balance": {"type": "reweight", "from_epoch": "switch"},
    "optimizer": {"lr": 2.0**-8},
    "schedule": {"type": "constant", "warmup_epochs": 2},
    "epochs": 3,
    "batch_size": 128,
}
"""A run whose numbers stay comparable: with this learning rate and batch another order of summation changes its losses
by 1e-4 at most over its epochs, and bfloat16 by 6e-4; with 0.0625 and 32 either changes them by half. Powers of two are
exact in float32 too, as which a captured step holds the learning rate."""
RESUMED_AFTER = 2
"""Epochs of the run before it is resumed: log u has begun."""
TOY_VALUES: dict[str, Any] = {"data.n_max": 20, "data.val_per_class": 10, "batch_size": 32}


def small_run(is_toy: bool, **values: Any) -> RunConfig:
    """Configure the run on digits, with values replaced."""
    return RunConfig.from_dict(RUN).with_values({**(TOY_VALUES if is_toy else {}), **values})


@dataclasses.dataclass(frozen=True)
class TrainedNumbers:
    """Numbers of every epoch of a run, and the weights at its end."""

    records: tuple[EpochRecord, ...]
    state: dict[str, Tensor]
    """Weights and statistics, on the CPU."""


@dataclasses.dataclass(frozen=True)
class NumberDifference:
    """The distance between two runs."""

    same_bits: bool
    """Whether all weights, statistics and compared numbers are equal."""
    largest: float
    """Largest relative difference of the compared numbers, over all epochs."""
    weights: float
    """Norm of the difference of all weights and statistics, relative to theirs."""

    def __str__(self) -> str:
        """Format the difference for people.

        >>> print(NumberDifference(False, 0.001, 0.02))
        other bits; numbers differ by 0.001 at most, weights by 0.02
        """
        bits = "the same bits" if self.same_bits else "other bits"
        return f"{bits}; numbers differ by {self.largest:.3g} at most, weights by {self.weights:.3g}"


def trained(trainer: Trainer) -> TrainedNumbers:
    """Train a run to its end."""
    records = tuple(trainer.epochs())
    return TrainedNumbers(records, {name: value.cpu() for name, value in trainer.model.state_dict().items()})


def difference(one: TrainedNumbers, other: TrainedNumbers) -> NumberDifference:
    """Compare the epochs that both runs have trained, and what they end with."""
    epochs = {record.epoch: record for record in one.records}
    pairs = [(epochs[record.epoch], record) for record in other.records if record.epoch in epochs]
    assert pairs, "no epoch was trained by both"
    numbers = [(getattr(left, name), getattr(right, name)) for left, right in pairs for name in COMPARED]
    same_state = all(torch.equal(value, other.state[name]) for name, value in one.state.items())
    same_bits = same_state and all(left == right for left, right in numbers)
    return NumberDifference(same_bits, max(_relative(*pair) for pair in numbers), _distance(one.state, other.state))


def _relative(left: float | None, right: float | None) -> float:
    if left is None or right is None:
        return 0.0 if left is right else math.inf
    distance = abs(left - right) / max(abs(left), abs(right), 1e-12)
    return distance if math.isfinite(distance) else math.inf


def _distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    def norm(values: Iterable[Tensor]) -> float:
        return math.sqrt(sum(float(value.double().square().sum()) for value in values))

    return norm(value.double() - other[name].double() for name, value in one.items()) / norm(one.values())


class BatchesDrawnOnCpu(Batches):
    """Batches whose order and augmentation are drawn on the CPU: each kind of device draws its own."""

    def __init__(self, images: Images, config: RunConfig, device: torch.device, share: Share = WHOLE) -> None:
        super().__init__(images, config, device, share)
        self._on_cpu = Batches(images, config, torch.device("cpu"), share)

    def draws(self, seed: int, epoch: int, batch_size: int) -> Iterator[Draw]:
        """Move the draws of the CPU to the device."""
        for draw in self._on_cpu.draws(seed, epoch, batch_size):
            yield Draw(*(drawn_B.to(self._device) for drawn_B in draw))


def batches_drawn_on_cpu(
    images: Images | ImageFiles, config: RunConfig, device: torch.device, share: Share = WHOLE
) -> BatchesDrawnOnCpu:
    """Build batches drawn on the CPU, for `Trainer`."""
    assert isinstance(images, Images)
    return BatchesDrawnOnCpu(images, config, device, share)


class RepeatedBody:
    """Stands in for a captured graph where there is no GPU: a replay runs the body again."""

    def warm_up(self, body: Replay) -> None:
        """Run `body` once."""
        body()

    def capture(self, body: Replay) -> Replay:
        """Return `body` itself."""
        return body


class FusedTrainer(Trainer):
    """Takes the place of a trainer on a GPU with eager steps: a CPU has the fused optimiser, but no option for it.

    For one run from its start: it does not resume.
    """

    def _new_step(self) -> TrainingStep:
        return DeferredStep(*self._fused_parts(), self._train.batch_of)

    def _fused_parts(self) -> tuple[Learner, EpochSums]:
        self.optimizer = build_optimizer(self.model, self.config.optimizer, fused=True)
        learner = build_learner(self.config.optimizer, self.model, self._logits_of, self.objective, self.optimizer)
        return learner, EpochSums(self.splits.num_classes, self._changed_N)


class CapturedTrainer(FusedTrainer):
    """Takes the place of a trainer on a GPU with captured steps."""

    def _new_step(self) -> TrainingStep:
        parts = self._fused_parts()
        return GraphStep(*parts, self._train.batch_of, self.config.batch_size, RepeatedBody())


def captured_and_eager(config: RunConfig, splits: Splits, options: dict[str, Any]) -> tuple[Trainer, Trainer]:
    """Return two trainers that differ in one thing: whether steps are captured.

    Args:
        config: the run; its device decides whether a graph is captured or a stand-in takes its place.
        splits: its images.
        options: further options of `device`, on a GPU.
    """
    if config.device.type == "cpu":
        return CapturedTrainer(config, splits), FusedTrainer(config, splits)
    captured, eager = captured_and_eager_runs(config, options)
    return Trainer(captured, splits), Trainer(eager, splits)


def captured_and_eager_runs(config: RunConfig, options: dict[str, Any]) -> tuple[RunConfig, RunConfig]:
    """Configure the two runs on a GPU."""
    on, off = (config.with_values({"device": {"type": "cuda", **options, "cuda_graph": on}}) for on in (True, False))
    return on, off


def trained_after_resume(config: RunConfig, splits: Splits, after: int) -> TrainedNumbers:
    """Train a run that stops after some epochs and goes on from its checkpoint."""
    return _trained_from(config, config, splits, after)


def trained_as_fork(config: RunConfig, splits: Splits) -> TrainedNumbers:
    """Train a run from a trunk: stage one alone, then stage two from its snapshot."""
    assert config.attention is not None
    return _trained_from(config.stage_one(), config, splits, config.attention.switch_epoch)


def _trained_from(begun: RunConfig, config: RunConfig, splits: Splits, after: int) -> TrainedNumbers:
    """Train some epochs of one run, and the rest of another from its checkpoint."""
    first = Trainer(begun, splits)
    records = first.epochs()
    earlier = [next(records) for _ in range(after)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "begun.pt"
        save_checkpoint(path, first.state_dict())
        second = Trainer(config, splits)
        second.load_state_dict(load_checkpoint(path))
    rest = trained(second)
    return TrainedNumbers((*earlier, *rest.records), rest.state)
