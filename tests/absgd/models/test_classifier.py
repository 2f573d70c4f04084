from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from absgd.models import CosineClassifier
from absgd.models.classifier import build_classifier
from absgd.randomness import seeded_globally


def test_cosine_equals_a_plain_loop() -> None:
    classifier, features_NF = CosineClassifier(5, 3).double(), torch.randn(4, 5, dtype=torch.float64)
    vectors_KF = classifier.weight.detach().numpy()
    expected = [[x @ w / (np.linalg.norm(x) * np.linalg.norm(w)) for w in vectors_KF] for x in features_NF.numpy()]
    np.testing.assert_allclose(classifier(features_NF).detach().numpy(), expected, rtol=1e-12)


def test_cosine_is_one_along_the_class_vector_and_minus_one_against_it() -> None:
    classifier = CosineClassifier(8, 2)
    along_F = classifier.weight[0].detach()
    cosines = classifier(torch.stack([along_F * 1e4, -along_F * 1e-4]))[:, 0]
    assert cosines.tolist() == pytest.approx([1, -1], abs=1e-6)


def test_cosine_gradient_agrees_with_finite_differences() -> None:
    classifier = CosineClassifier(4, 3).double()
    features_NF = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(classifier, (features_NF,))


def test_cosine_of_zero_features_is_zero_with_finite_gradients() -> None:
    classifier, features_NF = CosineClassifier(4, 3), torch.zeros(2, 4, requires_grad=True)
    cosines_NK = classifier(features_NF)
    cosines_NK.sum().backward()
    assert not cosines_NK.any()
    assert features_NF.grad is not None
    assert features_NF.grad.isfinite().all()


def test_cosine_class_vectors_start_at_length_one_without_a_direction_of_their_own() -> None:
    with seeded_globally(0, "init"):
        vectors_KF = CosineClassifier(64, 2000).weight.detach()
    torch.testing.assert_close(vectors_KF.norm(dim=1), torch.ones(2000))
    assert vectors_KF.mean(dim=0).abs().max() < 0.015  # five standard errors


@pytest.mark.parametrize(("head", "kind"), [("linear", nn.Linear), ("cosine", CosineClassifier)])
def test_build_classifier_gives_the_named_head(head: str, kind: type[nn.Module]) -> None:
    classifier = build_classifier(head, 6, 4)  # type: ignore[arg-type]
    assert type(classifier) is kind
    assert classifier.weight.shape == (4, 6)
