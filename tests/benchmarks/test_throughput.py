"""The table of `benchmarks.throughput` from made-up seconds, and each of its rows trained once."""

from __future__ import annotations

import pytest
import torch

from benchmarks.harness.workloads import BENCHMARK_MODELS
from benchmarks.throughput.pipelines import EpochSeconds, TrainerPipeline
from benchmarks.throughput.throughput_table import (
    DEVICE_OPTIONS,
    build_pipelines,
    pipeline_speeds,
    throughput_verdicts,
    time_pipelines,
    users_cudnn,
)


def seconds(train: float, whole: float) -> list[EpochSeconds]:
    return [EpochSeconds(train, whole)] * 3


MADE_UP = {
    "peer, 0 workers": seconds(8.0, 10.0),
    "peer, 2 workers": seconds(4.0, 6.0),
    "ours, exact": seconds(2.0, 3.0),
    "ours, fast": seconds(1.0, 1.5),
    "bound, exact": seconds(1.8, 1.8),
    "bound, fast": seconds(0.98, 0.98),
    "batches alone": seconds(0.1, 0.1),
}


def test_ratios_compare_with_the_faster_peer_and_the_runs_own_bound() -> None:
    rows = pipeline_speeds(MADE_UP, num_images=60)
    assert rows["ours, exact"].train_images_per_s == (30.0, 30.0, 30.0)
    assert rows["ours, exact"].epoch_images_per_s == (20.0, 20.0, 20.0)
    assert rows["ours, exact"].of_peer == (2.0, 2.0, 2.0)
    assert rows["ours, exact"].of_bound == pytest.approx((0.9, 0.9, 0.9))
    assert rows["ours, fast"].of_bound == pytest.approx((0.98, 0.98, 0.98))
    assert rows["peer, 0 workers"].of_peer == pytest.approx((0.6, 0.6, 0.6))
    assert rows["bound, fast"].of_peer is rows["batches alone"].of_bound is None


def test_verdicts_compare_medians_with_the_targets() -> None:
    said = list(throughput_verdicts(pipeline_speeds(MADE_UP, 60), "cpu"))
    assert [verdict.is_met for verdict in said] == [False, True, True, None, None]
    assert said[0].sentence == "cpu, exact: of bound at least 0.95, got 0.900 (quartiles 0.900 to 0.900)"


def test_every_row_trains_and_the_last_is_fast() -> None:
    device = torch.device("cpu")
    pipelines = build_pipelines(BENCHMARK_MODELS["resnet8"], batches=1, batch=8, workers=[0], device=device)
    taken = time_pipelines(pipelines, rounds=1)
    assert list(taken) == list(pipelines)
    assert all(0 < one.train <= one.whole for (one,) in taken.values())
    fast = pipelines[f"ours, {list(DEVICE_OPTIONS['cpu'])[-1]}"]
    assert isinstance(fast, TrainerPipeline)
    assert fast.trainer.config.device.fast


def test_peer_and_bound_have_cudnn_as_users_have_it() -> None:
    """torch's `flags` turns cuDNN off unless told otherwise: peer and bound would be slow on a GPU, and ours fast."""
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False), users_cudnn():
        found = torch.backends.cudnn
        assert (found.enabled, found.deterministic, found.benchmark) == (True, False, True)
