"""Class priors of the training images, and logits adjusted for them after training; imports no torch.

Suffixes: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from absgd.errors import UserError

Floats = npt.NDArray[np.float64]
Logits = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]
MetricOfLogits = Callable[[Floats, Labels], float]
"""Metric of logits_NC with labels_N; larger is better."""

TAUS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
"""Values of tau that are tried where none are given."""


def adjusted_logits(logits_NC: Logits, class_counts: Sequence[int], tau: float) -> Floats:
    """Return logits minus tau times the log prior of each class: z_c - tau log(n_c / n).

    >>> adjusted_logits(np.zeros((1, 2)), [3, 1], tau=1.0).argmax(axis=1)
    array([1])

    Args:
        logits_NC: class scores of a model trained without adjustment, any floating dtype, shape (N, C).
        class_counts: training images n_c of each class.
        tau: 0 changes nothing; 1 is optimal for the balanced error where the logits are those of the true posterior.

    Returns:
        float64, shape (N, C).

    Raises:
        UserError: if a class has no training image and tau is not 0.

    Source: arXiv 2007.07314, section 4.1, post-hoc logit adjustment.
    """
    exact_NC, shift_C = np.asarray(logits_NC, dtype=np.float64), posthoc_shift(class_counts, tau)
    return exact_NC if shift_C is None else exact_NC - shift_C


def posthoc_shift(class_counts: Sequence[int], tau: float) -> Floats | None:
    """Return tau log(n_c / n) of each class, which post-hoc adjustment subtracts from logits; None where tau is 0.

    Args:
        class_counts: training images n_c of each class.
        tau: as for `adjusted_logits`.

    Returns:
        float64, shape (C,).

    Raises:
        UserError: if a class has no training image and tau is not 0.
    """
    return None if tau == 0 else tau * log_priors(class_counts, "post-hoc logit adjustment", "loss.posthoc_tau")


def best_tau(
    logits_NC: Logits,
    labels_N: Labels,
    class_counts: Sequence[int],
    metric: MetricOfLogits,
    taus: Sequence[float] = TAUS,
) -> float:
    """Return the tau whose `adjusted_logits` have the best metric; the first such of `taus` where several have.

    Args:
        logits_NC: class scores of validation images, any floating dtype, shape (N, C).
        labels_N: their labels, whole numbers in [0, C), shape (N,).
        class_counts: training images of each class.
        metric: called with the adjusted logits and the labels; not-a-number counts as the worst value.
        taus: at least one value to try.

    Raises:
        UserError: as `adjusted_logits`.

    Source: arXiv 2007.07314, section 4.2: tau is chosen on held-out images.
    """
    values = [metric(adjusted_logits(logits_NC, class_counts, tau), labels_N) for tau in taus]
    return taus[int(np.argmax(np.nan_to_num(values, nan=-np.inf)))]


def log_priors(class_counts: Sequence[int], purpose: str, key: str) -> Floats:
    """Return log(n_c / n) of each class, float64, shape (C,).

    Args:
        class_counts: training images n_c of each class.
        purpose: names the part that needs the counts, for the message.
        key: setting that asks for it, for the message.

    Raises:
        UserError: naming the empty classes.
    """
    check_no_class_is_empty(class_counts, purpose, key)
    counts_C = np.asarray(class_counts, dtype=np.float64)
    return np.asarray(np.log(counts_C / counts_C.sum()))


def check_no_class_is_empty(class_counts: Sequence[int], purpose: str, key: str) -> None:
    """Refuse class counts that contain a zero.

    Args:
        class_counts: training images n_c of each class.
        purpose: names the part that needs the counts, for the message.
        key: setting that asks for it, for the message.

    Raises:
        UserError: naming the empty classes.
    """
    empty = [label for label, count in enumerate(class_counts) if count < 1]
    if empty:
        raise UserError(
            f"expected at least one training image in every class for {purpose}, got none in {empty} ({key})"
        )
