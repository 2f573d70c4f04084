"""Part 3: what counts as the same numbers, and batches that a device does not draw itself."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from absgd.datasets import Batches, Images, Splits, load_splits
from absgd.training import Trainer
from benchmarks.gpu.compared_runs import (
    BatchesDrawnOnCpu,
    NumberDifference,
    TrainedNumbers,
    captured_and_eager,
    difference,
    small_run,
    trained,
)
from benchmarks.gpu.numbers_part import CPU_TOLERANCE, within

CPU = torch.device("cpu")
CONFIG = small_run(True, **{"device.type": "cpu", "data.n_max": 12, "model.name": "cnn8"})


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(CONFIG)


@pytest.fixture(scope="module")
def numbers(splits: Splits) -> TrainedNumbers:
    return trained(Trainer(CONFIG, splits))


def test_run_equals_itself(numbers: TrainedNumbers) -> None:
    assert difference(numbers, numbers) == NumberDifference(True, 0.0, 0.0)


def test_one_other_weight_is_seen(numbers: TrainedNumbers) -> None:
    name = next(name for name, value in numbers.state.items() if value.is_floating_point())
    changed = numbers.state[name].clone()
    changed.view(-1)[0] += 1e-3
    found = difference(numbers, TrainedNumbers(numbers.records, {**numbers.state, name: changed}))
    assert not found.same_bits
    assert found.largest == 0.0
    assert found.weights > 0


def test_largest_difference_of_any_epoch_is_found(numbers: TrainedNumbers) -> None:
    first, *rest = numbers.records
    other = dataclasses.replace(first, train_loss=first.train_loss * 1.03)
    found = difference(numbers, TrainedNumbers((other, *rest), numbers.state))
    assert found.largest == pytest.approx(0.03, rel=0.05)
    assert within(found, CPU_TOLERANCE) == (f"numbers differ by {found.largest:.3g}, more than 0.02",)
    assert within(NumberDifference(False, float("nan"), 0.0), CPU_TOLERANCE) != ()
    without = dataclasses.replace(numbers.records[-1], log_u=None)
    assert difference(numbers, TrainedNumbers((without,), numbers.state)).largest == float("inf")


def test_captured_steps_and_eager_ones_give_the_same_bits(splits: Splits) -> None:
    captured, eager = captured_and_eager(CONFIG, splits, {})
    assert type(captured._step).__name__ == "GraphStep"
    assert difference(trained(captured), trained(eager)).same_bits


def test_batches_drawn_on_the_cpu_are_those_of_the_cpu(splits: Splits) -> None:
    assert isinstance(splits.train, Images)
    batches = [kind(splits.train, CONFIG, CPU) for kind in (Batches, BatchesDrawnOnCpu)]
    pairs = list(zip(*(one.training(0, 1, 32) for one in batches), strict=True))
    assert pairs
    assert all(torch.equal(one, other) for pair in pairs for one, other in zip(*pair, strict=True))
