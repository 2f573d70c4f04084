from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

from absgd.config import LossConfig, LossName, RunConfig
from absgd.errors import UserError
from absgd.losses import CrossEntropy, build_objective, effective_number_weights
from absgd.losses.build import CRITERIA

CLASS_COUNTS = [40, 10, 4]


def _config(**sections: Any) -> RunConfig:
    attention = {"lam": -5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 6}
    return RunConfig.from_dict({"data": {"name": "digits"}, "epochs": 9, "attention": attention, **sections})


@pytest.mark.parametrize("name", get_args(LossName))
def test_build_objective_knows_every_loss_of_the_config(name: str) -> None:
    config = _config(loss={"name": name})
    objective = build_objective(config, CLASS_COUNTS)
    assert objective.stage(8) == (2 if config.loss.is_attentive else 1)


def test_criteria_are_those_the_config_names() -> None:
    assert set(CRITERIA) == {LossConfig(name=name).base for name in get_args(LossName)}


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
        base_loss_B = objective(logits_BC, labels_B, epoch).base_loss_B
        scale_C = expected_C if epoch >= first else torch.ones(3)
        torch.testing.assert_close(base_loss_B, scale_C * torch.log(torch.tensor(3.0)))


def test_build_objective_of_stage_one_equals_the_run_before_its_switch() -> None:
    config = _config(class_balance={"type": "reweight", "from_epoch": "switch"})
    run, trunk = (build_objective(one, CLASS_COUNTS) for one in (config, config.stage_one()))
    logits_BC, labels_B = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1])
    for epoch in range(6):
        assert torch.equal(run(logits_BC, labels_B, epoch).loss, trunk(logits_BC, labels_B, epoch).loss)


def test_build_objective_refuses_class_weights_over_an_empty_class() -> None:
    with pytest.raises(UserError, match="at least one training image"):
        build_objective(_config(class_balance={"type": "reweight"}), [40, 0, 4])
