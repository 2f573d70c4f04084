"""Part 7: times of a step from made-up kernels; tests/system profiles real steps."""

from __future__ import annotations

import pytest

from benchmarks.gpu.profile_part import DeviceSpan, step_profile

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
