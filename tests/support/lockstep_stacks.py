"""Members of a cohort that train in step, stacked and alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.cohort_prototypes.cohort_members import (
    FusedStack,
    LockstepMember,
    LockstepSetup,
    VmapStack,
    prepare_lockstep,
)
from benchmarks.harness.workloads import EpochWorkload

SIZE, STEPS = 3, 3
TOLERANCE = {torch.float64: 1e-13, torch.float32: 1e-4}
"""Tolerance of every weight and statistic after STEPS steps, relative and absolute."""


def shared(case: str = "resnet8", fast: bool = False, dtype: torch.dtype = torch.float32) -> LockstepSetup:
    found = prepare_lockstep(EpochWorkload(case, num_batches=1, batch=8, device="cpu", exact=not fast))
    return found._replace(batch=found.batch._replace(images_BCHW=found.batch.images_BCHW.to(dtype)))


def members(common: LockstepSetup, dtype: torch.dtype = torch.float32) -> list[LockstepMember]:
    made = [LockstepMember(common, number) for number in range(SIZE)]
    for member in made:
        member.model.to(dtype)
    return made


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Return the largest difference of two states, relative where numbers are larger than 1."""
    assert one.keys() == other.keys()
    return max(float(((one[name] - other[name]).abs() / other[name].abs().clamp(min=1)).max()) for name in one)


def assert_members_get_the_numbers_of_runs_alone(
    kind: type[VmapStack | FusedStack], dtype: torch.dtype, case: str
) -> None:
    common = shared(case, dtype=dtype)
    alone = members(common, dtype)
    stack = kind(common, alone)
    for _ in range(STEPS):
        stack.step()
        for member in alone:
            member.step()
    for number, member in enumerate(alone):
        assert distance(stack.member_state(number), member.state()) < TOLERANCE[dtype]
        attention = member.learner.objective.attention
        assert attention is not None
        assert float(stack.log_u_K[number]) == pytest.approx(float(attention.log_u), rel=TOLERANCE[dtype])
    assert distance(alone[0].state(), alone[1].state()) > 100 * TOLERANCE[dtype], "they are different runs"
