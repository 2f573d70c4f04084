from __future__ import annotations

import pytest
import torch

from absgd.losses import AttentionWeights, CrossEntropy, Objective, attention_weights, cross_entropy

CLASS_WEIGHTS_C = torch.tensor([0.5, 1.0, 1.5])


def _batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits_BC = torch.randn(8, 3, generator=generator, requires_grad=True)
    return logits_BC, torch.randint(3, (8,), generator=generator)


def _attentive(switch_epoch: int = 2, lam: float = 0.7) -> Objective:
    return Objective(CrossEntropy(), attention=AttentionWeights(lam, 0.6, 0.5), switch_epoch=switch_epoch)


def _gradient(loss: torch.Tensor, logits_BC: torch.Tensor) -> torch.Tensor:
    (gradient_BC,) = torch.autograd.grad(loss, logits_BC)
    return gradient_BC


def test_objective_before_the_switch_is_the_mean_base_loss_bit_for_bit() -> None:
    objective = _attentive(switch_epoch=2)
    for epoch in (0, 1):
        logits_BC, labels_B = _batch(epoch)
        step = objective(logits_BC, labels_B, epoch)
        plain = torch.nn.functional.cross_entropy(logits_BC, labels_B, reduction="none").mean()
        assert torch.equal(step.loss, plain)
        assert torch.equal(_gradient(step.loss, logits_BC), _gradient(plain, logits_BC))
        assert step.weights_B.tolist() == [1 / 8] * 8
    assert objective.log_u is None


@pytest.mark.parametrize("lam", [0.7, -0.7])
def test_objective_from_the_switch_weighs_base_losses(lam: float) -> None:
    objective, state = _attentive(switch_epoch=2, lam=lam), torch.tensor(-torch.inf, dtype=torch.float64)
    for epoch in (2, 3, 4):
        logits_BC, labels_B = _batch(epoch)
        step = objective(logits_BC, labels_B, epoch)
        base_loss_B = cross_entropy(logits_BC, labels_B)
        expected_B, state = attention_weights(base_loss_B, state, lam, 0.6, 0.5)
        assert torch.equal(step.weights_B, expected_B)
        assert torch.equal(step.base_loss_B, base_loss_B)
        torch.testing.assert_close(step.loss, (expected_B * base_loss_B).sum())
        assert objective.log_u == state.item()


@pytest.mark.parametrize("epoch", [0, 2])
def test_objective_gradient_treats_weights_as_constants(epoch: int) -> None:
    logits_BC, labels_B = _batch()
    step = _attentive()(logits_BC, labels_B, epoch)
    errors_BC = logits_BC.detach().softmax(1) - torch.nn.functional.one_hot(labels_B, 3)
    torch.testing.assert_close(_gradient(step.loss, logits_BC), step.weights_B[:, None] * errors_BC)
    assert not step.base_loss_B.requires_grad
    assert not step.weights_B.requires_grad


def test_objective_permutes_with_the_batch() -> None:
    logits_BC, labels_B = _batch()
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    step, permuted = _attentive()(logits_BC, labels_B, 2), _attentive()(logits_BC[order], labels_B[order], 2)
    torch.testing.assert_close(permuted.weights_B, step.weights_B[order])
    torch.testing.assert_close(permuted.loss, step.loss)


def test_objective_class_weights_act_from_their_epoch() -> None:
    objective = Objective(CrossEntropy(), class_weights_C=CLASS_WEIGHTS_C, class_weights_from=3)
    logits_BC, labels_B = _batch()
    plain_B, weighted_B = cross_entropy(logits_BC, labels_B), cross_entropy(logits_BC, labels_B, CLASS_WEIGHTS_C)
    for epoch, expected_B in ((2, plain_B), (3, weighted_B), (4, weighted_B)):
        step = objective(logits_BC, labels_B, epoch)
        assert torch.equal(step.base_loss_B, expected_B)
        assert torch.equal(step.loss, expected_B.mean())


def test_objective_class_weights_enter_attention_weights() -> None:
    logits_BC, labels_B = _batch()
    objective = Objective(CrossEntropy(), class_weights_C=CLASS_WEIGHTS_C, attention=AttentionWeights(0.7, 1.0, 1.0))
    weighted_B = cross_entropy(logits_BC, labels_B, CLASS_WEIGHTS_C).double()
    expected_B = torch.softmax(weighted_B / 0.7, dim=0).float()
    torch.testing.assert_close(objective(logits_BC, labels_B, 0).weights_B, expected_B)


def test_objective_stage_changes_at_the_switch() -> None:
    assert [_attentive(switch_epoch=2).stage(epoch) for epoch in range(4)] == [1, 1, 2, 2]
    assert [Objective(CrossEntropy()).stage(epoch) for epoch in range(4)] == [1, 1, 1, 1]


def test_objective_state_round_trip_is_exact() -> None:
    saved, loaded = _attentive(), _attentive()
    for epoch in (2, 3):
        saved(*_batch(epoch), epoch)
    loaded.load_state_dict(saved.state_dict())
    assert loaded.log_u == saved.log_u
    assert torch.equal(loaded(*_batch(4), 4).loss, saved(*_batch(4), 4).loss)


def test_objective_state_holds_log_u_and_no_settings() -> None:
    assert list(_attentive().state_dict()) == ["attention.log_u"]
    assert not Objective(CrossEntropy(), class_weights_C=CLASS_WEIGHTS_C).state_dict()


def test_objective_without_attention_has_no_log_u() -> None:
    objective = Objective(CrossEntropy())
    objective(*_batch(), 0)
    assert objective.log_u is None
