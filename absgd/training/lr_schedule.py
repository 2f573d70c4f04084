"""The learning rate of each epoch."""

from __future__ import annotations

import math

from absgd.config.sections import ScheduleConfig


def learning_rate(schedule: ScheduleConfig, base_lr: float, epoch: int, epochs: int) -> float:
    """Learning rate of `epoch`, counted from 0, in a run of `epochs`.

    Warm-up: base_lr * (epoch + 1) / warmup_epochs for epoch < warmup_epochs. Then constant; or `step`: base_lr *
    factor^(milestones reached); or `cosine`: base_lr * (1 + cos(pi * t)) / 2 with t from 0 at the first epoch
    after the warm-up towards 1 at the end.

    Source: learning-rate rule of the LDAM-DRW and ABSGD repositories (warm-up and steps); arXiv 1608.03983 (cosine).

    >>> schedule = ScheduleConfig(type="step", warmup_epochs=2, milestones=(4,), factor=0.5)
    >>> [learning_rate(schedule, 1.0, epoch, 6) for epoch in range(6)]
    [0.5, 1.0, 1.0, 1.0, 0.5, 0.5]
    """
    if epoch < schedule.warmup_epochs:
        return base_lr * (epoch + 1) / schedule.warmup_epochs
    if schedule.type == "step":
        return base_lr * schedule.factor ** sum(epoch >= milestone for milestone in schedule.milestones)
    if schedule.type == "cosine":
        progress = (epoch - schedule.warmup_epochs) / (epochs - schedule.warmup_epochs)
        return base_lr * (1 + math.cos(math.pi * progress)) / 2
    return base_lr
