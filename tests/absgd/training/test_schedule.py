"""Learning rates against the rules they come from."""

from __future__ import annotations

import torch

from absgd.sections import ScheduleConfig
from absgd.training import learning_rate


def rates(schedule: ScheduleConfig, epochs: int, base_lr: float = 0.1) -> list[float]:
    return [learning_rate(schedule, base_lr, epoch, epochs) for epoch in range(epochs)]


def test_warm_up_and_steps_are_the_authors_recipe() -> None:
    """Counted from 1: lr * e / 5 up to epoch 5, then lr, from 160 on lr * .01, from 181 on lr * .0001."""
    got = rates(ScheduleConfig(type="step", warmup_epochs=5, milestones=(159, 180), factor=0.01), 200)
    counted_from_one = {1: 0.02, 4: 0.08, 5: 0.1, 6: 0.1, 159: 0.1, 160: 0.001, 180: 0.001, 181: 0.00001, 200: 0.00001}
    for epoch, rate in counted_from_one.items():
        assert abs(got[epoch - 1] - rate) < 1e-12


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
