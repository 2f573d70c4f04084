"""Numbers of predictions, compared with scikit-learn and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from absgd.records import calibration_error
from analysis.questions.image_bootstrap import NUM_RESAMPLES, ImageMetric, resampled_difference
from analysis.questions.image_outcomes import image_outcomes, log_probabilities
from analysis.questions.prediction_numbers import (
    calibration_sums,
    confusion_counts,
    prediction_numbers,
)

CLASSES = 5
COUNTS = [500, 101, 100, 20, 19]


def made_up(seed: int = 0, num_images: int = 300) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    labels_N = source.integers(CLASSES - 1, size=num_images)  # no image of the last class
    logits_NC = source.normal(size=(num_images, CLASSES)) * 3
    logits_NC[np.arange(num_images), labels_N] += 2
    return logits_NC, labels_N


def test_numbers_are_those_of_scikit_learn() -> None:
    logits_NC, labels_N = made_up()
    found = prediction_numbers(image_outcomes(logits_NC, labels_N), COUNTS)
    predicted_N, present = logits_NC.argmax(axis=1), list(range(CLASSES - 1))
    recall_C = metrics.recall_score(labels_N, predicted_N, labels=present, average=None)
    p_NC = np.exp(logits_NC) / np.exp(logits_NC).sum(axis=1, keepdims=True)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(labels_N, predicted_N))
    assert found.balanced_accuracy == pytest.approx(recall_C.mean())
    assert found.worst_recall == pytest.approx(recall_C.min())
    expected = metrics.f1_score(labels_N, predicted_N, labels=present, average="macro")
    assert found.macro_f1 == pytest.approx(expected)
    assert found.loss == pytest.approx(metrics.log_loss(labels_N, p_NC, labels=range(CLASSES)))
    assert found.many_accuracy == pytest.approx(recall_C[:2].mean())
    assert found.medium_accuracy == pytest.approx(recall_C[2:4].mean())
    assert np.isnan(found.few_accuracy), "no image of that class"
    confusion = metrics.confusion_matrix(labels_N, predicted_N, labels=range(CLASSES))
    np.testing.assert_array_equal(confusion_counts(image_outcomes(logits_NC, labels_N)), confusion)


def test_calibration_error_is_that_of_a_plain_loop() -> None:
    logits_NC, labels_N = made_up(1)
    p_NC = np.exp(log_probabilities(logits_NC))
    error = 0.0
    for k in range(15):
        low, high = k / 15, (k + 1) / 15
        own = [i for i in range(len(labels_N)) if low < p_NC[i].max() <= high]
        if own:
            gap = np.mean([p_NC[i].max() for i in own]) - np.mean([p_NC[i].argmax() == labels_N[i] for i in own])
            error += abs(gap) * len(own) / len(labels_N)
    outcomes = image_outcomes(logits_NC, labels_N)
    assert prediction_numbers(outcomes, COUNTS).calibration_error == pytest.approx(error)


def test_calibration_error_of_confident_and_right_predictions_is_zero() -> None:
    logits_NC = np.array([[0.0, -np.inf], [-1e4, 0.0]])
    sums = calibration_sums(image_outcomes(logits_NC, np.array([0, 1])))
    assert sums.images == [0] * 14 + [2]
    assert calibration_error(sums) == 0


def test_outcomes_in_pieces_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    logits_NC, labels_N = made_up(2)
    whole = image_outcomes(logits_NC, labels_N)
    monkeypatch.setattr("analysis.questions.image_outcomes._CELLS_AT_ONCE", 7 * CLASSES)
    pieces = image_outcomes(logits_NC, labels_N)
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(one, other)


def differences(seed: int, num_seeds: int, num_images: int) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    labels_N = source.integers(3, size=num_images)
    return source.integers(-1, 2, size=(num_seeds, num_images)).astype(float), labels_N


def plain_resamples(differences_SN: np.ndarray, labels_N: np.ndarray, metric: ImageMetric, seed: int) -> np.ndarray:
    """Resample in plain loops, with draws of its own."""
    source, found = np.random.default_rng(seed), []
    num_seeds, num_images = differences_SN.shape
    for _ in range(2000):
        images, seeds = source.integers(num_images, size=num_images), source.integers(num_seeds, size=num_seeds)
        drawn, labels = differences_SN[np.ix_(seeds, images)], labels_N[images]
        if metric == "balanced_accuracy":
            found.append(np.mean([drawn[:, labels == label].mean() for label in np.unique(labels)]))
        else:
            found.append(drawn.mean())
    return np.array(found)


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "loss"])
def test_interval_is_that_of_plain_resampling(metric: ImageMetric) -> None:
    differences_SN, labels_N = differences(3, num_seeds=4, num_images=40)
    found = resampled_difference(differences_SN, labels_N, metric)
    plain = plain_resamples(differences_SN, labels_N, metric, seed=9)
    spread = plain.std()
    assert found.low == pytest.approx(np.quantile(plain, 0.025), abs=0.2 * spread)
    assert found.high == pytest.approx(np.quantile(plain, 0.975), abs=0.2 * spread)
    by_class = [differences_SN[:, labels_N == label].mean() for label in range(3)]
    whole = np.mean(by_class) if metric == "balanced_accuracy" else differences_SN.mean()
    assert found.difference == pytest.approx(whole)


def test_interval_in_pieces_is_seeded_and_covers_every_resample(monkeypatch: pytest.MonkeyPatch) -> None:
    differences_SN, labels_N = differences(4, num_seeds=3, num_images=50)
    first = resampled_difference(differences_SN, labels_N, "accuracy", seed=1)
    assert resampled_difference(differences_SN, labels_N, "accuracy", seed=1) == first
    assert resampled_difference(differences_SN, labels_N, "accuracy", seed=2) != first
    monkeypatch.setattr("analysis.questions.image_bootstrap._CELLS", 50 * (NUM_RESAMPLES // 3))
    pieces = resampled_difference(differences_SN, labels_N, "accuracy", seed=1)
    assert pieces.low == pytest.approx(first.low, abs=0.05)
    assert pieces.difference == first.difference


def test_one_seed_draws_images_alone_and_equal_candidates_differ_by_nothing() -> None:
    differences_SN, labels_N = differences(5, num_seeds=1, num_images=60)
    found = resampled_difference(differences_SN, labels_N, "accuracy")
    assert found.low < found.difference < found.high
    assert resampled_difference(np.zeros((3, 60)), labels_N, "balanced_accuracy") == (0, 0, 0)
