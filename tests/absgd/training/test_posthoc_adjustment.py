"""Post-hoc logit adjustment of a run: only the evaluation after the last epoch is adjusted, by the class shares."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from absgd.config import RunConfig
from absgd.datasets import Splits, build_batches, load_splits, load_test
from absgd.errors import UserError
from absgd.training import Trainer
from absgd.training.evaluation import predictions
from absgd.training.posthoc_adjustment import log_prior_shift
from tests.support.small_runs import make, numbers

PLAIN = {"loss.name": "ce", "attention": None, "class_balance": {"type": "none"}}
TAU = 1.5


def config_of(tau: float) -> RunConfig:
    return make(**PLAIN, **{"loss.posthoc_tau": tau})


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(config_of(0.0))


@pytest.fixture(scope="module")
def plain(splits: Splits) -> Trainer:
    trainer = Trainer(config_of(0.0), splits)
    for _ in trainer.epochs():
        pass
    return trainer


def recalls_of(logits_NC: np.ndarray, labels_N: np.ndarray) -> list[float]:
    hits_N = logits_NC.argmax(axis=1) == labels_N
    return [float(hits_N[labels_N == label].mean()) for label in np.unique(labels_N)]


def test_only_the_last_evaluation_is_adjusted(splits: Splits, plain: Trainer) -> None:
    before = [numbers(record) for record in Trainer(config_of(0.0), splits).epochs()]
    trainer = Trainer(config_of(TAU), splits)
    after = [numbers(record) for record in trainer.epochs()]
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]
    assert after[-1]["train_loss"] == before[-1]["train_loss"]
    weights = plain.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in trainer.model.state_dict().items())


def test_adjusted_numbers_are_those_of_a_plain_reference(splits: Splits, plain: Trainer) -> None:
    trainer = Trainer(config_of(TAU), splits)
    last = list(trainer.epochs())[-1]
    batches = build_batches(splits.val, trainer.config, trainer.device).evaluation(500)
    found = [(one.logits_BC.double().numpy(), one.labels_B.numpy()) for one in predictions(plain.model, batches)]
    logits_NC, labels_N = (np.concatenate(parts) for parts in zip(*found, strict=True))
    shares_C = np.array(splits.class_counts) / sum(splits.class_counts)
    adjusted_NC = logits_NC - TAU * np.log(shares_C)
    assert last.val_recall == pytest.approx(recalls_of(adjusted_NC, labels_N))
    top_N = adjusted_NC.max(axis=1)
    log_sum_N = top_N + np.log(np.exp(adjusted_NC - top_N[:, None]).sum(axis=1))
    losses_N = log_sum_N - adjusted_NC[np.arange(len(labels_N)), labels_N]
    assert last.val_loss == pytest.approx(losses_N.mean(), rel=1e-4)


def test_test_set_is_adjusted_for_the_model_of_the_last_epoch_alone(splits: Splits, plain: Trainer) -> None:
    trainer = Trainer(config_of(TAU), splits)
    trainer.load_state_dict(plain.state_dict())
    images = load_test(trainer.config)
    unadjusted = plain.test(images)
    assert trainer.test(images, is_final=False) == unadjusted
    assert trainer.test(images) != unadjusted


def test_a_fork_of_the_plain_run_gives_the_same_bits(splits: Splits) -> None:
    trunk = Trainer(config_of(0.0), splits)
    epochs = trunk.epochs()
    for _ in range(trunk.config.epochs - 1):
        next(epochs)
    fork = Trainer(config_of(TAU), splits)
    fork.load_state_dict(trunk.state_dict())
    scratch = list(Trainer(config_of(TAU), splits).epochs())
    assert [numbers(record) for record in fork.epochs()] == [numbers(scratch[-1])]


def test_a_class_without_training_images_is_refused() -> None:
    assert log_prior_shift([3, 0], 0.0, torch.device("cpu")) is None
    with pytest.raises(UserError, match=r"post-hoc logit adjustment, got none in \[1\] \(loss.posthoc_tau\)"):
        log_prior_shift([3, 0], 1.0, torch.device("cpu"))
