"""Tests of a base criterion: inherit `LossTests` and name the entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch

from absgd.config.sections import LossConfig
from absgd.losses import AttentionWeights, Criterion, Objective, Prediction, PruningCriterion
from absgd.losses.build_objective import build_criterion
from absgd.registry.loss_table import LOSSES

Float64s = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
BuildCriterion = Callable[[Sequence[int]], Criterion]
"""Builds a criterion for classes with these numbers of training images."""

CLASS_COUNTS = (50, 20, 8, 3)
CLASS_WEIGHTS_C = np.array([0.2, 0.7, 1.1, 2.0])


class LogitBatch(NamedTuple):
    """Logits (float64) and labels of a batch."""

    logits_BC: Float64s
    labels_B: Labels


def random_batch(num_samples: int = 12, scale: float = 3.0, seed: int = 0) -> LogitBatch:
    """Return logits that float32 represents exactly, so that both dtypes solve the same problem."""
    rng = np.random.default_rng(seed)
    logits_BC = (scale * rng.standard_normal((num_samples, len(CLASS_COUNTS)))).astype(np.float32).astype(np.float64)
    return LogitBatch(logits_BC, rng.integers(len(CLASS_COUNTS), size=num_samples))


def _label_all_classes(rows: list[list[float]]) -> LogitBatch:
    """Return the batch with every row once for each label."""
    num_classes = len(CLASS_COUNTS)
    return LogitBatch(np.repeat(np.array(rows), num_classes, axis=0), np.tile(np.arange(num_classes), len(rows)))


BATCHES = {
    "random": random_batch(),
    "wide": random_batch(scale=100.0, seed=1),
    "batch of one": random_batch(num_samples=1, seed=2),
    "ties": _label_all_classes([[0.0, 0.0, 0.0, 0.0], [5.0, 5.0, -5.0, -5.0], [1e4, 1e4, 1e4, 1e4]]),
    "large": _label_all_classes([[1e4, -1e4, 0.0, 1.0], [-1e4, -1e4, -1e4, 1e4], [-1e4, 0.0, -1e4, 0.0]]),
    "one label": LogitBatch(random_batch(seed=3).logits_BC, np.full(12, 2)),
}


class LossTests:
    """Tests that every base criterion passes; see `absgd.losses.Criterion`."""

    entry: str
    """Name of the loss in the table."""
    options: Mapping[str, Any] = MappingProxyType({})
    """Options of it, where it declares any."""

    @pytest.fixture
    def build(self) -> BuildCriterion:
        """Builder of the criterion under test; by default that of the entry, with `options`."""
        config = LossConfig.model_validate({"name": self.entry, "options": dict(self.options)})
        return lambda class_counts: build_criterion(config, class_counts)

    @pytest.fixture
    def criterion(self, build: BuildCriterion) -> Criterion:
        return build(CLASS_COUNTS)

    def test_entry_builds_the_criterion(self, criterion: Criterion) -> None:
        config = LossConfig.model_validate({"name": self.entry, "options": dict(self.options)})
        assert type(build_criterion(config, CLASS_COUNTS)) is type(criterion)
        assert LOSSES[self.entry].prunes == isinstance(criterion, PruningCriterion)

    @pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
    def test_gradient_equals_finite_differences(self, criterion: Criterion, weighted: bool) -> None:
        logits_BC, labels_B = map(torch.from_numpy, random_batch(num_samples=5))
        weights_C = torch.from_numpy(CLASS_WEIGHTS_C) if weighted else None
        assert torch.autograd.gradcheck(lambda z: criterion(z, labels_B, weights_C), logits_BC.requires_grad_())

    @pytest.mark.parametrize("name", BATCHES)
    def test_gradient_is_finite(self, criterion: Criterion, name: str) -> None:
        logits_BC = torch.from_numpy(BATCHES[name].logits_BC).float().requires_grad_()
        criterion(logits_BC, torch.from_numpy(BATCHES[name].labels_B)).sum().backward()
        assert logits_BC.grad is not None
        assert logits_BC.grad.isfinite().all()

    def test_unit_class_weights_change_nothing(self, criterion: Criterion) -> None:
        batch = BATCHES["random"]
        weighted_B = loss_of(criterion, batch, np.ones(len(CLASS_COUNTS)), torch.float64)
        torch.testing.assert_close(weighted_B, loss_of(criterion, batch, None, torch.float64))

    def test_permuted_batch_permutes_losses(self, criterion: Criterion) -> None:
        batch = BATCHES["random"]
        order = np.random.default_rng(5).permutation(len(batch.labels_B))
        permuted_B = loss_of(criterion, LogitBatch(batch.logits_BC[order], batch.labels_B[order]), None, torch.float64)
        torch.testing.assert_close(permuted_B, loss_of(criterion, batch, None, torch.float64)[order])

    @pytest.mark.parametrize("lam", [1e12, -1e12])
    def test_large_lam_equals_mean_base_loss(self, criterion: Criterion, lam: float) -> None:
        logits_BC, labels_B = map(torch.from_numpy, random_batch())
        objective = Objective(criterion, attention=AttentionWeights(lam, gamma=1.0, ab_alpha=1.0))
        step = objective(logits_BC, labels_B, torch.arange(len(labels_B)), epoch=0)
        torch.testing.assert_close(step.loss, criterion(logits_BC, labels_B).mean(), rtol=1e-9, atol=0)

    @pytest.mark.parametrize("lam", [0.5, -0.5])
    @pytest.mark.parametrize("name", BATCHES)
    def test_attention_over_it_is_finite_and_permutes_with_the_batch(
        self, criterion: Criterion, name: str, lam: float
    ) -> None:
        logits_BC, labels_B = map(torch.from_numpy, BATCHES[name])
        order = torch.from_numpy(np.random.default_rng(5).permutation(len(labels_B)))
        index_B = torch.arange(len(labels_B))
        step, permuted = (
            _attentive(criterion, lam)(logits_BC[rows], labels_B[rows], index_B[rows], epoch=0)
            for rows in (index_B, order)
        )
        assert step.loss.isfinite()
        torch.testing.assert_close(permuted.weights_B, step.weights_B[order], rtol=1e-7, atol=1e-12)
        torch.testing.assert_close(permuted.loss, step.loss)

    def test_state_round_trip_is_exact(self, build: BuildCriterion) -> None:
        saved, loaded = build(CLASS_COUNTS), build(CLASS_COUNTS)
        before_B = loss_of(saved, BATCHES["random"], None, torch.float32)
        loaded.load_state_dict(saved.state_dict())
        assert torch.equal(loss_of(loaded, BATCHES["random"], None, torch.float32), before_B)

    @pytest.mark.parametrize("lam", [0.7, -0.7])
    def test_state_round_trip_under_attention_is_exact(self, build: BuildCriterion, lam: float) -> None:
        saved, loaded = (_attentive(build(CLASS_COUNTS), lam) for _ in range(2))
        for seed in range(3):
            _step(saved, seed)
        loaded.load_state_dict(saved.state_dict())
        assert torch.equal(_step(loaded, 4), _step(saved, 4))
        assert torch.equal(_step(loaded, 5), _step(saved, 5))
        for value, expected in zip(loaded.state_dict().values(), saved.state_dict().values(), strict=True):
            assert torch.equal(value, expected)

    def test_plain_state_at_the_switch_continues_under_attention(self, build: BuildCriterion) -> None:
        """A trunk trains the base criterion alone; a trial forks from its state."""
        whole, forked = (_attentive(build(CLASS_COUNTS), lam=0.7, switch_epoch=1) for _ in range(2))
        plain = Objective(build(CLASS_COUNTS))
        assert torch.equal(_step(whole, 0, epoch=0), _step(plain, 0, epoch=0))
        forked.load_state_dict(plain.state_dict())
        for seed in (1, 2):
            assert torch.equal(_step(forked, seed, epoch=1), _step(whole, seed, epoch=1))


def _attentive(criterion: Criterion, lam: float, switch_epoch: int = 0) -> Objective:
    attention = AttentionWeights(lam, gamma=0.6, ab_alpha=0.5)
    prune_from = switch_epoch if isinstance(criterion, PruningCriterion) else None
    return Objective(criterion, attention=attention, switch_epoch=switch_epoch, prune_from=prune_from)


def _step(objective: Objective, seed: int, epoch: int = 0) -> torch.Tensor:
    """Return the loss of one step on float32 logits, in the given epoch."""
    batch = random_batch(seed=seed)
    logits_BC, labels_B = torch.from_numpy(batch.logits_BC).float(), torch.from_numpy(batch.labels_B)
    index_B = torch.arange(len(labels_B))
    objective.start_epoch(epoch, lambda: [Prediction(logits_BC, labels_B, index_B)])
    loss: torch.Tensor = objective(logits_BC, labels_B, index_B, epoch).loss
    return loss


def loss_of(criterion: Criterion, batch: LogitBatch, weights_C: Float64s | None, dtype: torch.dtype) -> torch.Tensor:
    class_weights_C = None if weights_C is None else torch.from_numpy(weights_C).to(dtype)
    loss_B: torch.Tensor = criterion(
        torch.from_numpy(batch.logits_BC).to(dtype), torch.from_numpy(batch.labels_B), class_weights_C
    )
    return loss_B
