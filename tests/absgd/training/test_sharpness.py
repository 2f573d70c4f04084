"""Sharpness-aware steps: against plain two-pass references, what changes in which pass, resume, and refusals."""

from __future__ import annotations

import dataclasses
import io
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from absgd.config.sections import OptimizerConfig
from absgd.datasets import Batch, Splits, load_splits
from absgd.errors import UserError
from absgd.losses import AttentionWeights, CrossEntropy, Objective
from absgd.training import Diverged, Trainer
from absgd.training.deferred_step import DeferredStep
from absgd.training.device_options import Machine, resolve_device_options
from absgd.training.sharpness import SharpnessAwareLearner, build_learner
from absgd.training.step import EpochSums, ExactStep, Learner
from tests.support.small_runs import make, numbers

Floats = npt.NDArray[np.float64]

WEIGHTS_CF = [[0.5, -0.25], [0.0, 1.0], [-0.75, 0.125]]
FEATURES_BF = [[1.0, 2.0], [-0.5, 0.25], [0.75, -1.5], [2.0, 0.5]]
LABELS_B = [0, 2, 1, 2]
RHO, LR, MOMENTUM, DECAY = 0.3, 0.1, 0.9, 0.01


def linear_learner(objective: Objective, rho: float = RHO, grad_clip: float | None = None) -> Learner:
    model = nn.Linear(2, 3, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(WEIGHTS_CF))
    config = OptimizerConfig(lr=LR, momentum=MOMENTUM, weight_decay=DECAY, sam_rho=rho, grad_clip=grad_clip)
    optimizer = torch.optim.SGD(model.parameters(), LR, MOMENTUM, weight_decay=DECAY)
    return build_learner(config, model, lambda batch: model(batch.images_BCHW), objective, optimizer)


def linear_batch() -> Batch:
    features_BF = torch.tensor(FEATURES_BF, dtype=torch.float64)
    return Batch(features_BF, torch.tensor(LABELS_B), torch.arange(4))


def train(learner: Learner, steps: int) -> list[list[float]]:
    batch = linear_batch()
    for _ in range(steps):
        learner.backward(learner.loss(batch, epoch=0), batch, epoch=0)
        learner.optimizer.step()
    assert isinstance(learner.model, nn.Linear)
    return learner.model.weight.tolist()


def losses_and_gradients(weights_CF: Floats) -> tuple[Floats, Floats]:
    """Cross entropy of each sample, and its gradient: (B,) and (B, C, F)."""
    features_BF = np.array(FEATURES_BF)
    odds_BC = np.exp(features_BF @ weights_CF.T)
    shares_BC = odds_BC / odds_BC.sum(axis=1, keepdims=True)
    losses_B = -np.log(shares_BC[np.arange(4), LABELS_B])
    return losses_B, (shares_BC - np.eye(3)[LABELS_B])[:, :, None] * features_BF[:, None, :]


def reference(steps: int, lam: float | None = None, gamma: float = 0.6, ab_alpha: float = 0.5) -> Floats:
    """Weights after sharpness-aware steps of SGD, with ABSGD's weights where `lam` is given."""
    weights_CF, momentum_CF, u = np.array(WEIGHTS_CF), np.zeros((3, 2)), 0.0
    for step in range(steps):
        losses_B, gradients_BCF = losses_and_gradients(weights_CF)
        shares_B = np.full(4, 0.25)
        if lam is not None:
            powers_B = np.exp(losses_B / lam)
            u = (1 - gamma) * u + gamma * ab_alpha * powers_B.mean()
            shares_B = powers_B / (u * 4)
        first_CF = np.einsum("b,bcf->cf", shares_B, gradients_BCF)
        _, moved_BCF = losses_and_gradients(weights_CF + RHO * first_CF / np.sqrt((first_CF**2).sum()))
        gradient_CF = np.einsum("b,bcf->cf", shares_B, moved_BCF) + DECAY * weights_CF
        momentum_CF = gradient_CF if step == 0 else MOMENTUM * momentum_CF + gradient_CF
        weights_CF = weights_CF - LR * momentum_CF
    return weights_CF


def test_sharpness_aware_steps_equal_a_plain_reference() -> None:
    for steps in (1, 2, 5):
        found = train(linear_learner(Objective(CrossEntropy())), steps)
        np.testing.assert_allclose(found, reference(steps), rtol=1e-10)


@pytest.mark.parametrize("lam", [0.8, -0.8])
def test_sharpness_aware_steps_of_stage_two_keep_the_attention_weights_of_the_first_pass(lam: float) -> None:
    objective = Objective(CrossEntropy(), attention=AttentionWeights(lam, gamma=0.6, ab_alpha=0.5))
    np.testing.assert_allclose(train(linear_learner(objective), 5), reference(5, lam), rtol=1e-10)


def test_sharpness_aware_steps_give_the_numbers_of_a_well_known_implementation() -> None:
    """davda54/sam, sam.py: SAM over torch's SGD, run once in float64 for three steps on the same data."""
    expected = [
        [0.40529360229954, 0.13211149483495],
        [-0.11340111890635, 0.50940105030359],
        [-0.54049118314318, 0.22858290398646],
    ]
    np.testing.assert_allclose(train(linear_learner(Objective(CrossEntropy())), 3), expected, rtol=1e-9)


def test_learner_without_rho_is_the_plain_one() -> None:
    assert type(linear_learner(Objective(CrossEntropy()), rho=0.0)) is Learner
    assert type(linear_learner(Objective(CrossEntropy()))) is SharpnessAwareLearner


def test_sharpness_aware_gradient_is_clipped_after_the_second_pass() -> None:
    learner, batch = linear_learner(Objective(CrossEntropy()), grad_clip=1e-3), linear_batch()
    is_finite = learner.backward(learner.loss(batch, epoch=0), batch, epoch=0)
    assert is_finite is not None
    assert bool(is_finite)
    assert isinstance(learner.model, nn.Linear)
    assert learner.model.weight.grad is not None
    assert float(learner.model.weight.grad.norm()) == pytest.approx(1e-3, rel=1e-3)
    assert learner.model.weight.tolist() == WEIGHTS_CF, "the weights are back, to the bit"


@pytest.mark.parametrize("kind", [ExactStep, DeferredStep])
def test_sharpness_aware_step_that_leaves_the_finite_numbers_has_diverged(
    kind: type[ExactStep] | type[DeferredStep],
) -> None:
    learner = linear_learner(Objective(CrossEntropy()))
    assert isinstance(learner, SharpnessAwareLearner)
    far = dataclasses.replace(learner, rho=1e308)
    step = kind(far, EpochSums(3, torch.zeros(4, dtype=torch.int64)), lambda batch: batch)

    def train_an_epoch() -> None:
        step.begin(0)
        step(linear_batch())
        step.totals()

    with pytest.raises(Diverged, match="non-finite gradient norm after 0 epochs and 0 steps"):
        train_an_epoch()


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(make())


def test_running_statistics_and_log_u_change_in_the_first_pass_alone(splits: Splits) -> None:
    values = {"attention.switch_epoch": 0, "model.dropout": 0.0}
    plain, aware = (Trainer(make(**values, **{"optimizer.sam_rho": rho}), splits) for rho in (0.0, 0.1))
    for trainer in (plain, aware):
        trainer.model.train()
        trainer._step.begin(0)
        trainer._step(next(iter(trainer._train.draws(0, 0, 32))))
    buffers = [dict(trainer.model.named_buffers()) for trainer in (plain, aware)]
    assert any("running_mean" in name for name in buffers[0])
    assert all(torch.equal(value, buffers[1][name]) for name, value in buffers[0].items())
    assert plain.objective.log_u == aware.objective.log_u is not None
    weights = [list(trainer.model.parameters()) for trainer in (plain, aware)]
    assert not all(torch.equal(one, other) for one, other in zip(*weights, strict=True))


@pytest.mark.parametrize("stop_after", [1, 3])
def test_resumed_sharpness_aware_run_gives_the_same_bits(splits: Splits, stop_after: int) -> None:
    config = make(**{"optimizer.sam_rho": 0.1})
    whole = Trainer(config, splits)
    expected = [numbers(record) for record in whole.epochs()]
    first = Trainer(config, splits)
    found = [numbers(record) for record in itertools.islice(first.epochs(), stop_after)]
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = Trainer(config, splits)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert found + [numbers(record) for record in second.epochs()] == expected
    state = whole.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in second.model.state_dict().items())


def test_deferred_sharpness_aware_step_gives_the_bits_of_the_exact_one(splits: Splits) -> None:
    config = make(**{"optimizer.sam_rho": 0.1, "optimizer.grad_clip": 1.0, "epochs": 3})
    exact, deferred = Trainer(config, splits), Trainer(config, splits)
    step = deferred._step
    assert isinstance(step, ExactStep)
    deferred._step = DeferredStep(step._learner, step._sums, step._batch_of)
    assert [numbers(one) for one in deferred.epochs()] == [numbers(one) for one in exact.epochs()]


def test_sharpness_aware_steps_are_not_captured() -> None:
    values: dict[str, Any] = {"model.dropout": 0.0, "optimizer.sam_rho": 0.05, "device.type": "cuda"}
    message = r"expected `cuda_graph` with `optimizer.sam_rho` = 0, got 0.05 \(.*device.cuda_graph\)"
    with pytest.raises(UserError, match=message):
        make(**values, **{"device.cuda_graph": True})
    config = make(**values, **{"device.fast": True})
    gpu = Machine("cuda", native_bfloat16=True)
    assert not resolve_device_options(config.device, config.can_be_captured, gpu).cuda_graph
    plain = config.with_values({"optimizer.sam_rho": 0.0})
    assert resolve_device_options(plain.device, plain.can_be_captured, gpu).cuda_graph
