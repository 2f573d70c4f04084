"""Learning rates against the rules they come from."""

from __future__ import annotations

import pytest
import torch

from absgd.config.sections import ScheduleConfig
from absgd.training import learning_rate


def rates(schedule: ScheduleConfig, epochs: int, base_lr: float = 0.1) -> list[float]:
    return [learning_rate(schedule, base_lr, epoch, epochs) for epoch in range(epochs)]


def test_warm_up_and_steps_are_the_authors_recipe() -> None:
    """Counted from 1: lr * e / 5 up to epoch 5, then lr, and lr * .01 where their `epoch >= 160` holds."""
    got = rates(ScheduleConfig(type="step", warmup_epochs=5, milestones=(159,), factor=0.01), 200)
    counted_from_one = {1: 0.02, 4: 0.08, 5: 0.1, 6: 0.1, 159: 0.1, 160: 0.001, 180: 0.001, 200: 0.001}
    for epoch, rate in counted_from_one.items():
        assert abs(got[epoch - 1] - rate) < 1e-12


@pytest.mark.parametrize(
    ("milestones", "first", "second"),
    [
        ((160, 180), 161, 181),  # the LDAM-DRW repository: `epoch > 160` and `epoch > 180`, counted from 1
        ((159, 179), 160, 180),  # the ABSGD repository: `epoch >= 160`, and `epoch >= 180`, which is commented out
    ],
)
def test_two_steps_begin_where_their_repositories_say(milestones: tuple[int, int], first: int, second: int) -> None:
    got = rates(ScheduleConfig(type="step", warmup_epochs=5, milestones=milestones, factor=0.01), 200)
    counted_from_one = {6: 0.1, first - 1: 0.1, first: 1e-3, second - 1: 1e-3, second: 1e-5, 200: 1e-5}
    for epoch, rate in counted_from_one.items():
        assert got[epoch - 1] == pytest.approx(rate)


def test_cosine_equals_torch_after_the_warm_up() -> None:
    got = rates(ScheduleConfig(type="cosine", warmup_epochs=3), 13)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    for rate in got[3:]:
        assert abs(rate - optimizer.param_groups[0]["lr"]) < 1e-12
        optimizer.step()
        scheduler.step()
    assert abs(got[2] - 0.1) < 1e-12


def test_constant_stays() -> None:
    assert rates(ScheduleConfig(), 4) == [0.1] * 4
