"""Orders of epochs: a plain permutation, or, from a given epoch on, draws by class weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from absgd.config import RunConfig
from absgd.datasets import Batches, Images
from absgd.datasets.epoch_order import EpochOrder
from absgd.randomness import torch_generator
from tests.contracts.datasets import CPU, dataset_config
from tests.support.gpus import needs_gpu

COUNTS = (600, 300, 60, 0, 40)
LABELS_N = np.random.default_rng(0).permutation(np.repeat(np.arange(len(COUNTS)), COUNTS))


def config_of(**values: Any) -> RunConfig:
    return dataset_config("digits", **values)


def resampled(beta: float = 0.9999, **values: Any) -> RunConfig:
    return config_of(**{"class_balance": {"type": "resample", "beta": beta}, **values})


def order_of(config: RunConfig, epoch: int, seed: int = 0, labels_N: np.ndarray = LABELS_N) -> torch.Tensor:
    return EpochOrder(labels_N, config, CPU).of(seed, epoch)


def plain_permutation(epoch: int, seed: int = 0) -> list[int]:
    return torch.randperm(len(LABELS_N), generator=torch_generator(seed, "order", epoch)).tolist()


def drawn_shares(config: RunConfig, epochs: int = 200) -> np.ndarray:
    """Return the share of each class among all draws of some epochs."""
    order = EpochOrder(LABELS_N, config, CPU)
    index = np.concatenate([order.of(0, epoch).numpy() for epoch in range(epochs)])
    return np.bincount(LABELS_N[index], minlength=len(COUNTS)) / len(index)


@pytest.mark.parametrize("balance", [{"type": "none"}, {"type": "reweight"}])
def test_order_without_resampling_is_the_plain_permutation(balance: dict[str, Any]) -> None:
    assert order_of(config_of(class_balance=balance), epoch=3, seed=5).tolist() == plain_permutation(3, seed=5)


def test_order_before_from_epoch_is_the_plain_permutation() -> None:
    config = resampled(**{"class_balance.from_epoch": 2})
    assert [order_of(config, epoch).tolist() == plain_permutation(epoch) for epoch in range(4)] == [
        True,
        True,
        False,
        False,
    ]


def test_order_from_the_switch_on_is_resampled() -> None:
    attention = {"lam": 5.0, "gamma": 0.9, "ab_alpha": 0.5, "switch_epoch": 3}
    config = resampled(**{"class_balance.from_epoch": "switch", "attention": attention, "loss.name": "abce"})
    assert [order_of(config, epoch).tolist() == plain_permutation(epoch) for epoch in (2, 3)] == [True, False]


def test_order_of_stage_one_alone_equals_the_whole_runs_before_the_switch() -> None:
    attention = {"lam": 5.0, "gamma": 0.9, "ab_alpha": 0.5, "switch_epoch": 3}
    config = resampled(**{"class_balance.from_epoch": "switch", "attention": attention, "loss.name": "abce"})
    assert torch.equal(order_of(config, 2), order_of(config.stage_one(), 2))


def test_resampled_order_holds_as_many_draws_as_images() -> None:
    order_N = order_of(resampled(), epoch=0)
    assert (order_N.dtype, order_N.shape) == (torch.int64, (len(LABELS_N),))
    assert 0 <= order_N.min() <= order_N.max() < len(LABELS_N)
    assert len(set(order_N.tolist())) < len(LABELS_N)


@pytest.mark.parametrize("beta", [0.0, 0.99, 0.9999])
def test_resampled_class_shares_follow_size_times_effective_number_weight(beta: float) -> None:
    weights = [(1 - beta) / (1 - beta**count) if count else 0 for count in COUNTS]
    expected = np.array([count * weight for count, weight in zip(COUNTS, weights, strict=True)])
    np.testing.assert_allclose(drawn_shares(resampled(beta)), expected / expected.sum(), atol=0.005)


def test_resampling_with_beta_near_one_draws_all_classes_alike() -> None:
    np.testing.assert_allclose(drawn_shares(resampled(1 - 1e-9)), [0.25, 0.25, 0.25, 0, 0.25], atol=0.005)


def test_resampled_images_of_a_class_are_equally_frequent() -> None:
    order = EpochOrder(LABELS_N, resampled(), CPU)
    index = np.concatenate([order.of(0, epoch).numpy() for epoch in range(300)])
    members = np.flatnonzero(LABELS_N == 2)
    times = np.bincount(index, minlength=len(LABELS_N))[members]
    mean = times.mean()
    assert abs(times - mean).max() < 5 * np.sqrt(mean)


def test_resampled_order_replays_and_differs_from_other_epochs_and_seeds() -> None:
    first = order_of(resampled(), epoch=4, seed=2).tolist()
    torch.manual_seed(99)
    assert order_of(resampled(), epoch=4, seed=2).tolist() == first
    assert order_of(resampled(), epoch=5, seed=2).tolist() != first
    assert order_of(resampled(), epoch=4, seed=3).tolist() != first


def test_batches_follow_the_resampled_order() -> None:
    images = Images(np.zeros((len(LABELS_N), 1, 8, 8), dtype=np.uint8), LABELS_N)
    config = resampled()
    batches = list(Batches(images, config, CPU).training(seed=1, epoch=2, batch_size=64))
    index_N = torch.cat([batch.index_B for batch in batches])
    assert torch.equal(index_N, order_of(config, epoch=2, seed=1))
    assert torch.cat([batch.labels_B for batch in batches]).tolist() == LABELS_N[index_N.numpy()].tolist()
    evaluated = torch.cat([batch.index_B for batch in Batches(images, config, CPU).evaluation(64)])
    assert evaluated.tolist() == list(range(len(LABELS_N)))


@needs_gpu
def test_resampled_order_on_a_gpu_replays_there() -> None:
    first, second = (EpochOrder(LABELS_N, resampled(), torch.device("cuda")).of(0, 1) for _ in range(2))
    assert first.is_cuda
    assert torch.equal(first, second)
