"""The runs of a real hour, which only a GPU trains, are valid: a dry run trains smaller ones."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.gpu import packing_part, profile_part, throughput_part
from benchmarks.harness.workloads import BENCHMARK_MODELS, stage_two_run
from benchmarks.throughput.throughput_table import DEVICE_OPTIONS
from tune_runs.space.resources import MAX_COHORT

GPU_OPTIONS = [*DEVICE_OPTIONS["cuda"].values(), *profile_part.OPTIONS.values()]


@pytest.mark.parametrize("options", GPU_OPTIONS, ids=str)
def test_every_option_of_a_gpu_is_valid(options: dict[str, Any]) -> None:
    for model in BENCHMARK_MODELS.values():
        assert stage_two_run(model, throughput_part.FULL.batch, "cuda", options).device.type == "cuda"


def test_epochs_have_whole_batches_and_enough_steps_to_profile() -> None:
    full = profile_part.FULL
    assert full.images // full.batch > full.steps
    assert max(packing_part.FULL.counts) <= MAX_COHORT
    assert packing_part.FULL.counts == (1, 2, 4, 8, 16)
    assert min(throughput_part.FULL.rounds, packing_part.FULL.rounds) >= 3
