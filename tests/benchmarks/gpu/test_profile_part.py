"""Part 7: times of a step from made-up kernels; tests/system profiles real steps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.gpu.profile_part import DeviceSpan, step_profile, work_of

SPANS = [
    DeviceSpan("conv", 1000.0, 3000.0),
    DeviceSpan("norm", 2000.0, 4000.0),  # at the same time, on another stream
    DeviceSpan("Memcpy HtoD", 6000.0, 7000.0),
    DeviceSpan("conv", 8000.0, 9000.0),
]


def test_kernels_at_the_same_time_count_once_and_gaps_are_the_rest() -> None:
    found = step_profile(SPANS, launches=6, steps=2)
    assert (found.span_ms, found.busy_ms, found.gaps_ms) == pytest.approx((4.0, 2.5, 1.5))
    assert (found.kernels, found.launches) == (1.5, 3.0)
    assert found.longest == (("conv", 1.5, 1.0), ("norm", 1.0, 0.5), ("Memcpy HtoD", 0.5, 0.5))


def test_profile_without_kernels_is_an_error() -> None:
    with pytest.raises(ValueError, match="the profiler saw no kernel"):
        step_profile([], launches=0, steps=2)


def event(name: str, kind: str, start: float, is_note: bool = False, children: tuple[Any, ...] = ()) -> Any:
    times = SimpleNamespace(start=start, end=start + 5)
    device = SimpleNamespace(name=kind)
    return SimpleNamespace(
        name=name, device_type=device, time_range=times, is_user_annotation=is_note, cpu_children=children
    )


def test_kernels_and_launches_of_a_gpu_are_told_from_operations_and_notes() -> None:
    events = [
        event("aten::conv2d", "CPU", 0),
        event("cudaLaunchKernel", "CPU", 1),
        event("cudaGraphLaunch", "CPU", 2),
        event("cudaMemcpyAsync", "CPU", 3),
        event("implicit_gemm", "CUDA", 4),
        event("Memcpy DtoD", "CUDA", 5),
        event("ProfilerStep#1", "CUDA", 6, is_note=True),
    ]
    spans, launches = work_of(events, on_gpu=True)
    assert spans == [DeviceSpan("implicit_gemm", 4.0, 9.0), DeviceSpan("Memcpy DtoD", 5.0, 10.0)]
    assert launches == 2


def test_operations_that_call_no_others_stand_in_for_kernels_on_a_cpu() -> None:
    inner = event("aten::empty", "CPU", 1)
    events = [event("aten::zeros", "CPU", 0, children=(inner,)), inner, event("Optimizer.step", "CPU", 2)]
    assert work_of(events, on_gpu=False) == ([DeviceSpan("aten::empty", 1.0, 6.0)], 1)
