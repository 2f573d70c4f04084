from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from absgd.errors import UserError
from absgd.losses import TruncatedCrossEntropy, cross_entropy, is_kept, truncated_cross_entropy
from tests.contracts.losses import BATCHES, Float64s, Labels, LossCase, LossContract


def _label_probabilities(logits_BC: Float64s, labels_B: Labels) -> list[float]:
    probabilities = []
    for logits_C, label in zip(logits_BC.tolist(), labels_B.tolist(), strict=True):
        top = max(logits_C)
        probabilities.append(math.exp(logits_C[label] - top) / math.fsum(math.exp(z - top) for z in logits_C))
    return probabilities


def _reference(q: float, k: float, logits_BC: Float64s, labels_B: Labels, class_weights_C: Float64s | None) -> Float64s:
    losses = []
    for p, label in zip(_label_probabilities(logits_BC, labels_B), labels_B.tolist(), strict=True):
        weight = 1.0 if class_weights_C is None else float(class_weights_C[label])
        losses.append(weight * ((1 - p**q) / q - (1 - k**q) / q))
    return np.array(losses)


@pytest.mark.parametrize(("q", "k"), [(0.7, 0.5), (1.0, 0.3), (0.1, 0.9)])
class TestTruncatedCrossEntropy(LossContract):
    entry = "tce"

    @pytest.fixture
    def case(self, q: float, k: float) -> LossCase:
        def reference(
            logits_BC: Float64s, labels_B: Labels, weights_C: Float64s | None, _counts: Sequence[int]
        ) -> Float64s:
            return _reference(q, k, logits_BC, labels_B, weights_C)

        return LossCase(lambda class_counts: TruncatedCrossEntropy(sum(class_counts), q, k), reference)


@pytest.mark.parametrize("name", ["random", "wide", "large", "batch of one"])
@pytest.mark.parametrize(("q", "k"), [(0.7, 0.5), (1.0, 0.3), (0.1, 0.9)])
def test_is_kept_equals_a_plain_loop(q: float, k: float, name: str) -> None:
    batch = BATCHES[name]
    expected = [(1 - p**q) / q < (1 - k**q) / q for p in _label_probabilities(*batch)]
    keep_B = is_kept(torch.from_numpy(batch.logits_BC), torch.from_numpy(batch.labels_B), q, k)
    assert keep_B.tolist() == expected


def test_truncated_cross_entropy_for_small_q_approaches_the_cross_entropy_less_a_constant() -> None:
    logits_BC, labels_B = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2] * 2)
    loss_B = truncated_cross_entropy(logits_BC.double(), labels_B, q=1e-9, k=0.5)
    torch.testing.assert_close(loss_B, cross_entropy(logits_BC.double(), labels_B) + math.log(0.5))


def test_criterion_keeps_all_samples_until_it_is_refreshed() -> None:
    assert TruncatedCrossEntropy(num_samples=5).keep_N.tolist() == [True] * 5


def test_criterion_refresh_sets_the_flags_of_its_samples_alone() -> None:
    criterion = TruncatedCrossEntropy(num_samples=4)
    hard_BC, labels_B = torch.tensor([[0.0, 5.0], [5.0, 0.0]]), torch.tensor([0, 0])
    criterion.refresh(hard_BC, labels_B, torch.tensor([2, 1]))
    assert criterion.keep_N.tolist() == [True, True, False, True]
    criterion.refresh(hard_BC.flip(0), labels_B, torch.tensor([2, 1]))
    assert criterion.keep_N.tolist() == [True, False, True, True]


def test_criterion_flags_are_saved_and_stay_flags_when_cast() -> None:
    saved, loaded = TruncatedCrossEntropy(num_samples=3), TruncatedCrossEntropy(num_samples=3)
    saved.half().refresh(torch.tensor([[0.0, 5.0]]), torch.tensor([0]), torch.tensor([1]))
    loaded.load_state_dict(saved.state_dict())
    assert (loaded.keep_N.tolist(), loaded.keep_N.dtype) == ([True, False, True], torch.bool)


@pytest.mark.parametrize(
    ("settings", "named"), [({"q": 0.0}, "tce_q"), ({"q": 1.1}, "tce_q"), ({"k": 0.0}, "tce_k"), ({"k": 1.0}, "tce_k")]
)
def test_criterion_refuses_a_setting_out_of_range(settings: dict[str, float], named: str) -> None:
    with pytest.raises(UserError, match=f"expected `{named}` in"):
        TruncatedCrossEntropy(3, **settings)
