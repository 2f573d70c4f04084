"""Part 3: what counts as the same numbers, and batches that a device does not draw itself."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from absgd.datasets import Batches, Images, Splits, load_splits
from absgd.training import Trainer
from benchmarks.gpu.compared_runs import (
    RESUMED_AFTER,
    BatchesDrawnOnCpu,
    NumberDifference,
    TrainedNumbers,
    captured_and_eager,
    captured_and_eager_runs,
    difference,
    small_run,
    trained,
)
from benchmarks.gpu.numbers_part import (
    CONTINUED_TOLERANCE,
    FLOAT32_FAST,
    LEARNING_RUN,
    TOY_LEARNING_RUN,
    accuracy_faults,
    within,
)

CPU = torch.device("cpu")
CONFIG = small_run(True, **{"device.type": "cpu", "data.n_max": 12})


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
    assert within(found, CONTINUED_TOLERANCE) == (f"numbers differ by {found.largest:.3g}, more than 0.005",)
    assert within(NumberDifference(False, float("nan"), 0.0), CONTINUED_TOLERANCE) != ()
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


@pytest.mark.parametrize("is_toy", [True, False])
def test_runs_of_a_gpu_are_valid_without_one(is_toy: bool) -> None:
    run = small_run(is_toy, **{"device.type": "cuda"})
    assert run.attention is not None
    assert 0 < run.attention.switch_epoch < RESUMED_AFTER < run.epochs
    learning = run.with_values(TOY_LEARNING_RUN if is_toy else LEARNING_RUN)
    assert learning.epochs == (2 if is_toy else 10)
    for options in (FLOAT32_FAST, {"fast": True}):
        captured, eager = captured_and_eager_runs(run, options)
        assert (captured.device.cuda_graph, eager.device.cuda_graph) == (True, False)
        assert eager.device.fast


def test_accuracies_too_low_to_compare_are_wrong() -> None:
    assert accuracy_faults([0.9, 0.95], [0.91, 0.93]) == []
    assert accuracy_faults([0.3, 0.3], [0.3, 0.3]) == ["the exact path reaches 0.30, too little to compare"]
