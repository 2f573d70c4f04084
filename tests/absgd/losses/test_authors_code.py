"""Losses against the numbers of their authors' public code, run once in float64; only the type of its tensors changed.

The numbers of a criterion are those of batches of one sample, which a mean over the batch leaves as they are. Symmetric
cross entropies agree to 3e-8 only, since the authors take log(1e-4) in float32; the others agree to 1e-10.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch

from absgd.class_priors import adjusted_logits
from absgd.losses import (
    AttentionWeights,
    BalancedSoftmax,
    Criterion,
    CrossEntropy,
    Focal,
    Ldam,
    LogitAdjustment,
    Objective,
    SymmetricCrossEntropy,
    Tilted,
    VectorScaling,
    effective_number_weights,
)

LOGITS_BC = [
    [1.5, -0.25, 0.75, -2.0],
    [-2.0, 0.5, 3.25, 0.125],
    [0.125, 0.375, -1.0, 2.5],
    [4.0, -4.5, 0.25, -0.5],
    [-0.5, 2.25, 1.0, 0.0],
    [0.25, -0.75, 3.5, -1.5],
]
LABELS_B = [0, 1, 2, 3, 3, 1]
COUNTS = (50, 20, 8, 3)
WEIGHTS_C = [0.25, 0.75, 1.0, 2.0]


class Published(NamedTuple):
    criterion: Criterion
    losses: list[float]
    scale: float = 1.0
    """Factor of `LOGITS_BC`, as cosines are smaller."""
    class_weights_C: list[float] | None = None


PUBLISHED = {
    # kaidic/LDAM-DRW, losses.py: LDAMLoss, FocalLoss
    "ldam": Published(
        Ldam(COUNTS), [2.97853065072, 25.8349946665, 32.7381379005, 42.0000000002, 28.5005529997, 34.8349946627], 0.2
    ),
    "ldam, 0.4, 10": Published(
        Ldam(COUNTS, max_margin=0.4, scale=10.0),
        [1.04409458401, 7.99162632608, 10.152865428, 13.0005552319, 8.58284668525, 10.9908964046],
        0.2,
    ),
    "focal": Published(
        Focal(1.0), [0.208432909157, 2.69306860572, 3.62690973089, 4.48556191471, 2.4354910857, 4.2500729204]
    ),
    "focal, 2, weighted": Published(
        Focal(2.0),
        [0.00189594463302, 1.66957024831, 3.53877257361, 9.06638471022, 5.1962517699, 2.98073142846],
        class_weights_C=WEIGHTS_C,
    ),
    # qiqi-helloworld/ABSGD, noisy_label/loss.py: SCELoss; the first equals HanxunH/SCELoss-Reproduce, loss.py
    "sce": Published(
        SymmetricCrossEntropy(0.1, 1.0),
        [3.76767941426, 8.96709157456, 9.35824517489, 9.56489039254, 8.80608859868, 9.51717820633],
    ),
    "sce, 6, 0.5": Published(
        SymmetricCrossEntropy(6.0, 0.5),
        [4.95767861144, 21.4836476538, 26.7967127513, 31.7611575221, 20.0252302927, 30.3915337977],
    ),
    # jiawei-ren/BalancedMetaSoftmax-Classification: balanced_softmax_loss, as repositories that build on it hold it
    "balanced softmax": Published(
        BalancedSoftmax(COUNTS),
        [0.137062710397, 2.02357975419, 3.75085238062, 7.31791134022, 4.40194160999, 3.58098028805],
    ),
    # google-research/google-research, logit_adjustment/utils.py: build_loss_fn, its TensorFlow calls read as numpy's
    "logit adjustment": Published(
        LogitAdjustment(COUNTS),
        [0.137062710398, 2.02357975419, 3.75085238062, 7.31791134019, 4.40194160997, 3.58098028806],
    ),
    "logit adjustment, 1.5": Published(
        LogitAdjustment(COUNTS, 1.5),
        [0.0719829163695, 1.67179373586, 4.28174794796, 8.72183447556, 5.38183650032, 3.38465520242],
    ),
    # orparask/VS-Loss, class_imbalance/losses.py: VSLoss
    "vs": Published(
        VectorScaling(COUNTS),
        [0.12620559175, 1.13931513628, 3.06750275071, 7.03290082657, 3.96440859657, 2.49677680191],
    ),
    "vs, 0.15, 0.75": Published(
        VectorScaling(COUNTS, gamma=0.15, tau=0.75),
        [0.180096399437, 1.64572767526, 3.07934294237, 6.4452788561, 3.68761141992, 2.99020792722],
    ),
    # litian96/TERM, noisy_annotator/pytorch_resnet_cifar10/trainer.py: compute_object_value, of all six samples
    "term, -2": Published(Tilted(-2.0), 6 * [1.3994185558532872]),
    "term, 0.5": Published(Tilted(0.5), 6 * [3.461539240989209]),
    "term, 3": Published(Tilted(3.0), 6 * [4.0943520472285915]),
}


@pytest.mark.parametrize(("dtype", "rel"), [(torch.float64, 1e-7), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", PUBLISHED)
def test_losses_are_those_of_the_authors_code(name: str, dtype: torch.dtype, rel: float) -> None:
    criterion, losses, scale, weights_C = PUBLISHED[name]
    logits_BC = scale * torch.tensor(LOGITS_BC, dtype=dtype)
    class_weights_C = None if weights_C is None else torch.tensor(weights_C, dtype=dtype)
    found_B = criterion(logits_BC, torch.tensor(LABELS_B), class_weights_C)
    assert found_B.tolist() == pytest.approx(losses, rel=rel)


@pytest.mark.parametrize(
    ("criterion", "lam", "losses"),
    [
        (CrossEntropy(), -0.75, [3.73863093724, 4.68706686281, 6.02862555044]),
        (CrossEntropy(), 1.5, [9.85640034219, 16.9552905106, 11.5311849938]),
        (SymmetricCrossEntropy(0.1, 1.0), -0.5, [18.9268449164, 9.46338901421, 9.17135313865]),
    ],
)
@pytest.mark.parametrize(("dtype", "rel"), [(torch.float64, 1e-7), (torch.float32, 1e-5)])
def test_attention_over_noisy_labels_is_that_of_the_authors_code(
    criterion: Criterion, lam: float, losses: list[float], dtype: torch.dtype, rel: float
) -> None:
    """qiqi-helloworld/ABSGD, noisy_label/loss.py: ABLoss, three batches of two samples, droGamma 0.6, abAlpha 0.5."""
    attention = AttentionWeights(lam, gamma=0.6, ab_alpha=0.5, add_uniform=True)
    objective = Objective(criterion, attention=attention)
    logits_BC, labels_B = torch.tensor(LOGITS_BC, dtype=dtype), torch.tensor(LABELS_B)
    rows = [slice(start, start + 2) for start in (0, 2, 4)]
    found = [objective(logits_BC[two], labels_B[two], torch.arange(2), epoch=0).loss.item() for two in rows]
    assert found == pytest.approx(losses, rel=rel)


def test_effective_number_weights_are_those_of_the_authors_code() -> None:
    """kaidic/LDAM-DRW, cifar_train.py, per_cls_weights at beta 0.9999 for CIFAR-10 with ratio 0.01."""
    weights_C = effective_number_weights([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50], 0.9999)
    expected = [
        *(0.05061136121639262, 0.07689979460472876, 0.12113387289908856, 0.1950366657229105, 0.31880537306900314),
        *(0.5245898532697822, 0.8683489410056616, 1.4426272700071832, 2.4092230511593424, 3.992723817045907),
    ]
    assert weights_C.tolist() == pytest.approx(expected, rel=1e-11), "1 - beta^n loses digits in the authors' code"


def test_posthoc_adjustment_is_that_of_the_authors_code() -> None:
    """google-research/google-research, logit_adjustment/main.py, mode `posthoc` with tau 1.5."""
    expected_BC = [
        [2.22363922386, 1.84807532167, 4.22251141946, 2.94375529887],
        [-1.27636077614, 2.59807532167, 6.72251141946, 5.06875529887],
        [0.848639223864, 2.47307532167, 2.47251141946, 7.44375529887],
        [4.72363922386, -2.40192467833, 3.72251141946, 4.44375529887],
        [0.223639223864, 4.34807532167, 4.47251141946, 4.94375529887],
        [0.973639223864, 1.34807532167, 6.97251141946, 3.44375529887],
    ]
    np.testing.assert_allclose(adjusted_logits(np.array(LOGITS_BC), COUNTS, tau=1.5), expected_BC, rtol=1e-9)
