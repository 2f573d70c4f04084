from __future__ import annotations

import copy

import pytest
import torch

from absgd.losses import (
    AttentionWeights,
    CrossEntropy,
    Objective,
    Prediction,
    TruncatedCrossEntropy,
    attention_weights,
    cross_entropy,
    divide_by_norm,
)

CLASS_WEIGHTS_C = torch.tensor([0.5, 1.0, 1.5])


def _batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits_BC = torch.randn(8, 3, generator=generator, requires_grad=True)
    return logits_BC, torch.randint(3, (8,), generator=generator)


INDEX_B = torch.arange(8)


def _attentive(switch_epoch: int = 2, lam: float = 0.7) -> Objective:
    return Objective(CrossEntropy(), attention=AttentionWeights(lam, 0.6, 0.5), switch_epoch=switch_epoch)


def _gradient(loss: torch.Tensor, logits_BC: torch.Tensor) -> torch.Tensor:
    (gradient_BC,) = torch.autograd.grad(loss, logits_BC)
    return gradient_BC


def test_objective_before_the_switch_is_the_mean_base_loss_bit_for_bit() -> None:
    objective = _attentive(switch_epoch=2)
    for epoch in (0, 1):
        logits_BC, labels_B = _batch(epoch)
        step = objective(logits_BC, labels_B, INDEX_B, epoch)
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
        step = objective(logits_BC, labels_B, INDEX_B, epoch)
        base_loss_B = cross_entropy(logits_BC, labels_B)
        expected_B, state = attention_weights(base_loss_B, state, lam, 0.6, 0.5)
        assert torch.equal(step.weights_B, expected_B)
        assert torch.equal(step.base_loss_B, base_loss_B)
        torch.testing.assert_close(step.loss, (expected_B * base_loss_B).sum())
        assert objective.log_u == state.item()


@pytest.mark.parametrize("epoch", [0, 2])
def test_objective_gradient_treats_weights_as_constants(epoch: int) -> None:
    logits_BC, labels_B = _batch()
    step = _attentive()(logits_BC, labels_B, INDEX_B, epoch)
    errors_BC = logits_BC.detach().softmax(1) - torch.nn.functional.one_hot(labels_B, 3)
    torch.testing.assert_close(_gradient(step.loss, logits_BC), step.weights_B[:, None] * errors_BC)
    assert not step.base_loss_B.requires_grad
    assert not step.weights_B.requires_grad


def test_objective_permutes_with_the_batch() -> None:
    logits_BC, labels_B = _batch()
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    step = _attentive()(logits_BC, labels_B, INDEX_B, 2)
    permuted = _attentive()(logits_BC[order], labels_B[order], INDEX_B[order], 2)
    torch.testing.assert_close(permuted.weights_B, step.weights_B[order])
    torch.testing.assert_close(permuted.loss, step.loss)


def test_objective_class_weights_act_from_their_epoch() -> None:
    objective = Objective(CrossEntropy(), class_weights_C=CLASS_WEIGHTS_C, class_weights_from=3)
    logits_BC, labels_B = _batch()
    plain_B, weighted_B = cross_entropy(logits_BC, labels_B), cross_entropy(logits_BC, labels_B, CLASS_WEIGHTS_C)
    for epoch, expected_B in ((2, plain_B), (3, weighted_B), (4, weighted_B)):
        step = objective(logits_BC, labels_B, INDEX_B, epoch)
        assert torch.equal(step.base_loss_B, expected_B)
        assert torch.equal(step.loss, expected_B.mean())


def test_objective_class_weights_enter_attention_weights() -> None:
    logits_BC, labels_B = _batch()
    objective = Objective(CrossEntropy(), class_weights_C=CLASS_WEIGHTS_C, attention=AttentionWeights(0.7, 1.0, 1.0))
    weighted_B = cross_entropy(logits_BC, labels_B, CLASS_WEIGHTS_C).double()
    expected_B = torch.softmax(weighted_B / 0.7, dim=0).float()
    torch.testing.assert_close(objective(logits_BC, labels_B, INDEX_B, 0).weights_B, expected_B)


def test_objective_stage_changes_at_the_switch() -> None:
    assert [_attentive(switch_epoch=2).stage(epoch) for epoch in range(4)] == [1, 1, 2, 2]
    assert [Objective(CrossEntropy()).stage(epoch) for epoch in range(4)] == [1, 1, 1, 1]


def test_objective_state_round_trip_is_exact() -> None:
    saved, loaded = _attentive(), _attentive()
    for epoch in (2, 3):
        saved(*_batch(epoch), INDEX_B, epoch)
    loaded.load_state_dict(saved.state_dict())
    assert loaded.log_u == saved.log_u
    assert torch.equal(loaded(*_batch(4), INDEX_B, 4).loss, saved(*_batch(4), INDEX_B, 4).loss)


def test_objective_state_holds_log_u_and_no_settings() -> None:
    assert list(_attentive().state_dict()) == ["attention.log_u"]
    assert not Objective(CrossEntropy(), class_weights_C=CLASS_WEIGHTS_C).state_dict()


def test_objective_without_attention_has_no_log_u() -> None:
    objective = Objective(CrossEntropy())
    objective(*_batch(), INDEX_B, 0)
    assert objective.log_u is None


def test_objective_loads_a_plain_state_as_one_that_has_seen_no_batch() -> None:
    used, fresh = _attentive(), _attentive()
    used(*_batch(1), INDEX_B, 3)
    used.load_state_dict(Objective(CrossEntropy()).state_dict())
    assert used.log_u is None
    assert torch.equal(used(*_batch(), INDEX_B, 2).loss, fresh(*_batch(), INDEX_B, 2).loss)


def test_objective_refuses_the_state_of_another_loss() -> None:
    with pytest.raises(RuntimeError, match="keep_N"):
        Objective(TruncatedCrossEntropy(8)).load_state_dict(Objective(CrossEntropy()).state_dict())
    with pytest.raises(RuntimeError, match="log_u"):
        Objective(CrossEntropy()).load_state_dict(_attentive().state_dict())


@pytest.mark.parametrize("epoch", [0, 2])
def test_objective_divides_logits_by_their_norm_in_both_stages(epoch: int) -> None:
    objective = Objective(CrossEntropy(), attention=AttentionWeights(0.7, 0.6, 0.5), switch_epoch=2, class_tau=0.4)
    logits_BC, labels_B = _batch()
    expected_B = cross_entropy(divide_by_norm(logits_BC, 0.4), labels_B)
    assert torch.equal(objective(logits_BC, labels_B, INDEX_B, epoch).base_loss_B, expected_B)


def test_objective_adds_uniform_weights_in_stage_two_only() -> None:
    logits_BC, labels_B = _batch()
    added = Objective(CrossEntropy(), attention=AttentionWeights(0.7, 0.6, 0.5, add_uniform=True), switch_epoch=2)
    for epoch, uniform in ((0, 0.0), (2, 1 / 8)):
        step, plain = added(logits_BC, labels_B, INDEX_B, epoch), _attentive()(logits_BC, labels_B, INDEX_B, epoch)
        torch.testing.assert_close(step.weights_B, plain.weights_B + uniform)
        torch.testing.assert_close(step.loss, plain.loss + uniform * plain.base_loss_B.sum())
    assert added.log_u is not None


def _pruning(prune_from: int | None) -> Objective:
    return Objective(TruncatedCrossEntropy(num_samples=10, k=0.4), prune_from=prune_from)


def test_objective_prunes_from_its_epoch_and_again_in_every_later_one() -> None:
    objective, kept = _pruning(prune_from=1), []
    for epoch in range(3):
        logits_BC, labels_B = _batch(epoch)
        objective.start_epoch(epoch, lambda: [Prediction(*_batch(epoch), INDEX_B + 2)])  # noqa: B023 - called at once
        kept.append(objective.criterion.keep_N.tolist())  # type: ignore[operator]
        expected_B = logits_BC.softmax(1).gather(1, labels_B[:, None])[:, 0] > 0.4
        assert kept[-1] == [True, True, *(expected_B.tolist() if epoch >= 1 else [True] * 8)]
        assert objective.kept_fraction == sum(kept[-1]) / 10
        base_loss_B = objective(logits_BC, labels_B, INDEX_B + 2, epoch).base_loss_B
        assert (base_loss_B != 0).tolist() == kept[-1][2:]
    assert kept[1] != kept[2]


@pytest.mark.parametrize("prune_from", [None, 3])
def test_objective_asks_for_predictions_only_when_it_prunes(prune_from: int | None) -> None:
    def refuse() -> list[Prediction]:
        raise AssertionError("predictions were computed for nothing")

    objective = _pruning(prune_from)
    for epoch in range(3):
        objective.start_epoch(epoch, refuse)
    assert objective.kept_fraction == 1


def test_objective_without_a_pruning_criterion_has_no_kept_fraction() -> None:
    assert _attentive().kept_fraction is None


def test_objective_gives_pruned_samples_no_gradient() -> None:
    objective = _pruning(prune_from=0)
    logits_BC, labels_B = _batch()
    objective.start_epoch(0, lambda: [Prediction(logits_BC, labels_B, INDEX_B)])
    gradient_BC = _gradient(objective(logits_BC, labels_B, INDEX_B, 0).loss, logits_BC)
    kept_B = objective.criterion.keep_N[:8]  # type: ignore[index]
    assert 0 < int(kept_B.sum()) < 8
    assert ((gradient_BC != 0).any(dim=1) == kept_B).all()


@pytest.mark.parametrize("attention", [None, AttentionWeights(0.7, 0.6, 0.5, add_uniform=True)], ids=["tce", "abtce"])
def test_objective_gives_pruned_samples_no_weight(attention: AttentionWeights | None) -> None:
    objective = Objective(TruncatedCrossEntropy(num_samples=8, k=0.4), attention=attention, prune_from=0)
    logits_BC, labels_B = _batch()
    before_B = copy.deepcopy(objective)(logits_BC, labels_B, INDEX_B, 0).weights_B
    objective.start_epoch(0, lambda: [Prediction(logits_BC, labels_B, INDEX_B)])
    step = objective(logits_BC, labels_B, INDEX_B, 0)
    kept_B = objective.criterion.keep_N
    assert isinstance(kept_B, torch.Tensor)
    assert 0 < int(kept_B.sum()) < 8
    assert (before_B > 0).all()
    assert ((step.weights_B > 0) == kept_B).all()
    torch.testing.assert_close(step.loss.detach(), (step.weights_B * step.base_loss_B).sum())
