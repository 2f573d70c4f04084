"""Logit adjustment after training: values, the choice of tau, and class counts that cannot be adjusted for."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from absgd.class_priors import TAUS, Floats, Labels, adjusted_logits, best_tau
from absgd.errors import UserError

COUNTS = (50, 20, 8, 3)


def balanced_accuracy(logits_NC: Floats, labels_N: Labels) -> float:
    hits_N = logits_NC.argmax(axis=1) == labels_N
    return float(np.mean([hits_N[labels_N == label].mean() for label in np.unique(labels_N)]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_adjusted_logits_equal_a_plain_loop_in_float64(dtype: type[np.floating]) -> None:
    logits_NC = np.random.default_rng(0).normal(size=(6, 4)).astype(dtype)
    found_NC = adjusted_logits(logits_NC, COUNTS, tau=1.5)
    for row, logits_C in zip(found_NC, logits_NC, strict=True):
        expected = [float(z) - 1.5 * math.log(n / 81) for z, n in zip(logits_C, COUNTS, strict=True)]
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-12)
    assert found_NC.dtype == np.float64


def test_adjusted_logits_with_tau_0_are_the_logits_whatever_the_counts() -> None:
    logits_NC = np.array([[1.0, 2.0]])
    np.testing.assert_array_equal(adjusted_logits(logits_NC, [3, 0], tau=0.0), logits_NC)


def test_adjusted_logits_of_the_training_posterior_are_those_of_balanced_classes() -> None:
    """With logits log(n_c p(x | c)), tau = 1 leaves log p(x | c) up to a constant of the image."""
    likelihood_NC = np.random.default_rng(1).uniform(0.1, 1.0, size=(5, 4))
    found_NC = adjusted_logits(np.log(likelihood_NC * COUNTS), COUNTS, tau=1.0)
    difference_NC = found_NC - np.log(likelihood_NC)
    np.testing.assert_allclose(difference_NC, np.repeat(difference_NC[:, :1], 4, axis=1), atol=1e-12)


def test_best_tau_is_that_of_the_best_value() -> None:
    labels_N = np.array([0, 0, 1, 1])
    logits_NC = np.array([[2.0, 0.0], [1.5, 0.0], [0.9, 0.0], [0.4, 0.0]])
    values = {tau: balanced_accuracy(adjusted_logits(logits_NC, [9, 3], tau), labels_N) for tau in TAUS}
    assert values == {
        tau: 0.5 if tau < 0.5 else 0.75 if tau < 1.0 else 1.0 if tau < 1.5 else values[tau] for tau in TAUS
    }
    assert best_tau(logits_NC, labels_N, [9, 3], balanced_accuracy) == 1.0, "the first of the best"
    assert best_tau(logits_NC, labels_N, [9, 3], balanced_accuracy, taus=[2.0, 1.25, 1.0]) == 1.25


def test_best_tau_counts_not_a_number_as_the_worst() -> None:
    logits_NC, labels_N = np.array([[1.0, 0.0]]), np.array([0])
    metric = {0.5: -3.0}

    def value(adjusted_NC: Floats, _labels_N: Labels) -> float:
        tau = round(float(logits_NC[0, 0] - adjusted_NC[0, 0]) / math.log(0.75), 6)
        return metric.get(tau, math.nan)

    assert best_tau(logits_NC, labels_N, [3, 1], value, taus=[0.0, 0.5, 1.0]) == 0.5


def test_adjustment_of_a_class_without_training_images_is_refused() -> None:
    message = r"at least one training image in every class for post-hoc logit adjustment, got none in \[1\]"
    with pytest.raises(UserError, match=message):
        adjusted_logits(np.zeros((1, 2)), [3, 0], tau=1.0)
    with pytest.raises(UserError, match=message):
        best_tau(np.zeros((1, 2)), np.array([0]), [3, 0], balanced_accuracy)


def test_class_priors_are_imported_without_torch() -> None:
    code = "import sys, absgd.class_priors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
