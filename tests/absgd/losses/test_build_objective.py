from __future__ import annotations

from typing import Any

import pytest
import torch

from absgd.config import RunConfig
from absgd.config.sections import LossConfig
from absgd.errors import UserError
from absgd.losses import CrossEntropy, TruncatedCrossEntropy, build_objective, effective_number_weights
from absgd.losses.build_objective import build_criterion
from absgd.registry.loss_table import LOSSES, loss_names

CLASS_COUNTS = [40, 10, 4]


def _config(**sections: Any) -> RunConfig:
    attention = {"lam": -5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 6}
    base = {"data": {"name": "digits"}, "epochs": 9, "attention": attention}
    return RunConfig.from_dict({**base, **sections})


def _batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(5, 3, generator=generator), torch.tensor([0, 1, 2, 0, 1]), torch.arange(5)


@pytest.mark.parametrize("name", loss_names())
def test_build_objective_knows_every_loss_of_the_config(name: str) -> None:
    config = _config(loss={"name": name})
    objective = build_objective(config, CLASS_COUNTS)
    assert objective.stage(8) == (2 if config.loss.is_attentive else 1)


def test_build_objective_passes_attention_settings_on() -> None:
    objective = build_objective(_config(), CLASS_COUNTS)
    assert isinstance(objective.criterion, CrossEntropy)
    assert objective.attention is not None
    assert (objective.attention.lam, objective.attention.gamma, objective.attention.ab_alpha) == (-5.0, 0.7, 0.5)
    assert [objective.stage(epoch) for epoch in (5, 6)] == [1, 2]
    assert objective.class_weights_C is None


@pytest.mark.parametrize(("from_epoch", "first"), [(0, 0), (3, 3), ("switch", 6)])
def test_build_objective_class_weights_act_from_the_asked_epoch(from_epoch: int | str, first: int) -> None:
    balance = {"type": "reweight", "beta": 0.99, "from_epoch": from_epoch}
    objective = build_objective(_config(class_balance=balance), CLASS_COUNTS)
    expected_C = effective_number_weights(CLASS_COUNTS, 0.99).float()
    logits_BC, labels_B = torch.zeros(3, 3), torch.arange(3)
    for epoch in range(9):
        base_loss_B = objective(logits_BC, labels_B, torch.arange(3), epoch).base_loss_B
        scale_C = expected_C if epoch >= first else torch.ones(3)
        torch.testing.assert_close(base_loss_B, scale_C * torch.log(torch.tensor(3.0)))


@pytest.mark.parametrize("name", [name for name in loss_names() if name.startswith("ab")])
@pytest.mark.parametrize("lam", [0.8, -0.8])
def test_build_objective_of_stage_one_equals_the_run_before_its_switch(name: str, lam: float) -> None:
    attention = {"lam": lam, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 6}
    balance = {"type": "reweight", "from_epoch": "switch"}
    config = _config(loss={"name": name, "class_tau": 0.3}, attention=attention, class_balance=balance)
    run, trunk = (build_objective(one, CLASS_COUNTS) for one in (config, config.stage_one()))
    for epoch in range(6):
        assert torch.equal(run(*_batch(epoch), epoch).loss, trunk(*_batch(epoch), epoch).loss)
    forked = build_objective(config, CLASS_COUNTS)
    forked.load_state_dict(trunk.state_dict())
    assert torch.equal(forked(*_batch(), 6).loss, run(*_batch(), 6).loss)


def test_build_objective_passes_loss_settings_on() -> None:
    settings = {"focal_gamma": 2.0, "ldam_max_margin": 0.3, "ldam_scale": 9.0, "sce_alpha": 6.0, "sce_beta": 2.0}
    settings |= {"tce_q": 0.4, "tce_k": 0.2, "la_tau": 0.5, "vs_gamma": 0.1, "vs_tau": 0.7, "term_tilt": -2.0}
    built = {name: build_criterion(LossConfig(name=name, **settings), CLASS_COUNTS) for name in LOSSES}
    assert {name: criterion.extra_repr() for name, criterion in built.items() if criterion.extra_repr()} == {
        "focal": "focal_gamma=2.0",
        "ldam": "max_margin=0.3, scale=9.0",
        "sce": "alpha=6.0, beta=2.0",
        "logit_adjustment": "tau=0.5",
        "vs": "gamma=0.1, tau=0.7",
        "term": "tilt=-2.0",
        "tce": "q=0.4, k=0.2",
    }
    assert isinstance(built["tce"], TruncatedCrossEntropy)
    assert len(built["tce"].keep_N) == sum(CLASS_COUNTS)


@pytest.mark.parametrize(
    ("name", "asked", "prune_from"),
    [("abtce", None, 6), ("abtce", 2, 2), ("tce", None, None), ("tce", 2, 2), ("abce", None, None)],
)
def test_build_objective_prunes_from_the_asked_epoch_or_the_switch(
    name: str, asked: int | None, prune_from: int | None
) -> None:
    objective = build_objective(_config(loss={"name": name, "tce_prune_from": asked}), CLASS_COUNTS)
    assert objective.prune_from == prune_from


def test_build_objective_adds_uniform_weights_and_divides_by_norm_where_asked() -> None:
    attention = {"lam": -5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 6, "add_uniform": True}
    objective = build_objective(_config(attention=attention, loss={"name": "abce", "class_tau": 0.5}), CLASS_COUNTS)
    assert objective.attention is not None
    assert objective.attention.add_uniform
    assert objective.class_tau == 0.5


def test_build_objective_leaves_resampling_to_the_batches() -> None:
    balance = {"type": "resample", "from_epoch": "switch"}
    assert build_objective(_config(class_balance=balance), CLASS_COUNTS).class_weights_C is None


@pytest.mark.parametrize("name", ["ldam", "abldam", "balanced_softmax", "logit_adjustment", "vs"])
def test_build_objective_refuses_a_loss_of_class_counts_over_an_empty_class(name: str) -> None:
    with pytest.raises(UserError, match=r"at least one training image in every class .* got none in \[1\]"):
        build_objective(_config(loss={"name": name}), [40, 0, 4])


def test_config_refuses_a_negative_focal_gamma() -> None:
    with pytest.raises(UserError, match=r"expected `loss.focal_gamma` >= 0.*got -1"):
        _config(loss={"name": "focal", "focal_gamma": -1.0})


def test_build_objective_refuses_class_weights_over_an_empty_class() -> None:
    with pytest.raises(UserError, match="at least one training image"):
        build_objective(_config(class_balance={"type": "reweight"}), [40, 0, 4])
