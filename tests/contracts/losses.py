"""The contract of our base criteria: inherit LossContract, name the entry and supply one fixture, `case`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pytest
import torch

from absgd.losses import Criterion
from absgd.testing.loss_tests import (
    BATCHES,
    CLASS_COUNTS,
    CLASS_WEIGHTS_C,
    BuildCriterion,
    Float64s,
    Labels,
    LogitBatch,
    LossTests,
    loss_of,
    random_batch,
)

__all__ = ["BATCHES", "Float64s", "Labels", "LossCase", "LossContract", "random_batch"]


class LossCase(NamedTuple):
    """One base criterion under test."""

    build: Callable[[Sequence[int]], Criterion]
    """The criterion for classes with these numbers of training images."""
    reference: Callable[[Float64s, Labels, Float64s | None, Sequence[int]], Float64s]
    """Reference: loss_B by a plain loop in float64, from logits_BC, labels_B, class_weights_C and the class counts."""


class LossContract(LossTests):
    """`LossTests`, and that losses are those of an independent reference."""

    @pytest.fixture
    def case(self) -> LossCase:
        raise NotImplementedError("expected the fixture `case` in the class that inherits LossContract")

    @pytest.fixture
    def build(self, case: LossCase) -> BuildCriterion:
        return case.build

    @pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
    @pytest.mark.parametrize("name", BATCHES)
    def test_value_equals_reference(self, case: LossCase, criterion: Criterion, name: str, weighted: bool) -> None:
        weights_C = CLASS_WEIGHTS_C if weighted else None
        expected_B = case.reference(*BATCHES[name], weights_C, CLASS_COUNTS)
        assert np.isfinite(expected_B).all()
        for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
            loss_B = loss_of(criterion, BATCHES[name], weights_C, dtype)
            assert loss_B.dtype == dtype
            np.testing.assert_allclose(loss_B.numpy(), expected_B, rtol=tolerance, atol=10 * tolerance)

    def test_value_with_a_single_class(self, case: LossCase) -> None:
        batch = LogitBatch(np.array([[3.0], [-1e4]]), np.array([0, 0]))
        loss_B = loss_of(case.build([7]), batch, None, torch.float64)
        np.testing.assert_allclose(loss_B.numpy(), case.reference(*batch, None, [7]), atol=1e-12)
