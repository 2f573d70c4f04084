"""Metrics against scikit-learn and a plain loop."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import nn

from absgd.datasets import Batch
from absgd.training.evaluation import class_metrics, count_correct, shot_accuracy


class Logits(nn.Module):
    """A model that returns its images as logits."""

    def __init__(self) -> None:
        super().__init__()
        self.seen_training: list[bool] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen_training.append(self.training)
        return images.flatten(1)


def batches(logits: torch.Tensor, labels: torch.Tensor, size: int) -> list[Batch]:
    index = torch.arange(len(labels))
    return [
        Batch(logits[i : i + size, :, None, None], labels[i : i + size], index[i : i + size])
        for i in range(0, len(labels), size)
    ]


def test_metrics_equal_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 5, generator=generator)
    labels = torch.randint(0, 5, (200,), generator=generator)
    model = Logits().train()
    got = class_metrics(count_correct(model, batches(logits, labels, 64), 5, torch.device("cpu")))
    guess = logits.argmax(1).numpy()
    assert got.accuracy == pytest.approx(reference.accuracy_score(labels, guess), abs=1e-12)
    assert got.balanced_accuracy == pytest.approx(reference.balanced_accuracy_score(labels, guess), abs=1e-12)
    assert got.recall == pytest.approx(tuple(reference.recall_score(labels, guess, average=None)), abs=1e-12)
    probabilities = torch.softmax(logits.double(), 1).numpy()
    assert got.macro_f1 == pytest.approx(reference.f1_score(labels, guess, average="macro"), abs=1e-12)
    assert got.worst_recall == pytest.approx(min(reference.recall_score(labels, guess, average=None)), abs=1e-12)
    assert got.loss == pytest.approx(reference.log_loss(labels, probabilities, labels=range(5)), rel=1e-6)
    assert model.training
    assert model.seen_training == [False] * 4


def test_absent_class_has_no_recall_and_does_not_count() -> None:
    logits = torch.eye(3)[torch.tensor([0, 0, 1])]
    got = class_metrics(count_correct(Logits(), batches(logits, torch.tensor([0, 0, 0]), 2), 3, torch.device("cpu")))
    assert got.recall == (2 / 3, None, None)
    assert got.balanced_accuracy == got.accuracy == got.worst_recall == 2 / 3
    assert got.macro_f1 == reference.f1_score([0, 0, 0], [0, 0, 1], labels=[0], average="macro") == 0.8


def loop_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The expected calibration error of arXiv 1706.04599, bin by bin."""
    confidence, guess = probabilities.max(1), probabilities.argmax(1)
    error = 0.0
    for low, high in itertools.pairwise(np.linspace(0, 1, 16)):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = abs((guess == labels)[inside].mean() - confidence[inside].mean())
            error += inside.mean() * gap
    return float(error)


@pytest.mark.parametrize("scale", [0.0, 0.3, 2.0, 100.0])
def test_calibration_error_equals_a_loop_over_bins(scale: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = scale * torch.randn(300, 4, generator=generator)
    labels = torch.randint(0, 4, (300,), generator=generator)
    got = class_metrics(count_correct(Logits(), batches(logits, labels, 64), 4, torch.device("cpu")))
    expected = loop_calibration_error(torch.softmax(logits.double(), 1).numpy(), labels.numpy())
    assert got.calibration_error == pytest.approx(expected, abs=1e-6)


def test_images_surely_and_wrongly_classified_count_in_the_last_bin() -> None:
    logits = torch.tensor([[1000.0, 0.0]] * 4)
    counts = count_correct(Logits(), batches(logits, torch.tensor([0, 0, 0, 1]), 3), 2, torch.device("cpu"))
    assert counts.calibration.images == [0.0] * 14 + [4.0]
    assert class_metrics(counts).calibration_error == 0.25


def test_metrics_of_logits_that_are_not_finite_are_not_numbers() -> None:
    logits = torch.full((3, 2), math.nan)
    got = class_metrics(count_correct(Logits(), batches(logits, torch.tensor([0, 1, 1]), 2), 2, torch.device("cpu")))
    assert math.isnan(got.loss)
    assert math.isnan(got.calibration_error)


def test_shot_groups_take_100_and_20_as_medium() -> None:
    recall = [0.9, 0.8, 0.6, 0.4, 0.1]
    shots = shot_accuracy(recall, [101, 100, 20, 19, 1])
    assert shots.many == 0.9
    assert shots.medium == pytest.approx(np.mean([0.8, 0.6]))
    assert shots.few == pytest.approx(np.mean([0.4, 0.1]))


def test_empty_shot_group_is_none_not_nan() -> None:
    assert shot_accuracy([0.5, None], [500, 10]) == (0.5, None, None)
