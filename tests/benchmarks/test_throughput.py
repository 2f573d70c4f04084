"""The table of `benchmarks.throughput` from made-up seconds, and every row of it trained once."""

from __future__ import annotations

import argparse

import pytest
import torch

from benchmarks.throughput import OPTIONS, build_sides, measure, summary, verdicts
from benchmarks.throughput_sides import CASES, Ours, Seconds


def seconds(train: float, whole: float) -> list[Seconds]:
    return [Seconds(train, whole)] * 3


MADE_UP = {
    "peer, 0 workers": seconds(8.0, 10.0),
    "peer, 2 workers": seconds(4.0, 6.0),
    "ours, exact": seconds(2.0, 3.0),
    "ours, fast": seconds(1.0, 1.5),
    "bound, exact": seconds(1.8, 1.8),
    "bound, fast": seconds(0.98, 0.98),
    "batches alone": seconds(0.1, 0.1),
}


def test_ratios_are_of_the_faster_peer_and_of_the_runs_own_bound() -> None:
    rows = summary(MADE_UP, num_images=60)
    assert rows["ours, exact"].train_images_per_s == (30.0, 30.0, 30.0)
    assert rows["ours, exact"].epoch_images_per_s == (20.0, 20.0, 20.0)
    assert rows["ours, exact"].of_peer == (2.0, 2.0, 2.0)
    assert rows["ours, exact"].of_bound == pytest.approx((0.9, 0.9, 0.9))
    assert rows["ours, fast"].of_bound == pytest.approx((0.98, 0.98, 0.98))
    assert rows["peer, 0 workers"].of_peer == pytest.approx((0.6, 0.6, 0.6))
    assert rows["bound, fast"].of_peer is rows["batches alone"].of_bound is None


def test_verdicts_hold_what_was_measured_against_the_targets() -> None:
    said = list(verdicts(summary(MADE_UP, 60), "cpu"))
    assert [holds for holds, _ in said] == [False, True, True, None, None]
    assert said[0][1] == "cpu, exact: of bound at least 0.95, got 0.900 (quartiles 0.900 to 0.900)"


def test_every_row_trains_and_the_last_is_fast() -> None:
    options = argparse.Namespace(batches=1, batch=8, workers=[0])
    sides = build_sides(CASES["resnet8"], options, torch.device("cpu"))
    taken = measure(sides, rounds=1)
    assert list(taken) == list(sides)
    assert all(0 < one.train <= one.whole for (one,) in taken.values())
    fast = sides[f"ours, {list(OPTIONS['cpu'])[-1]}"]
    assert isinstance(fast, Ours)
    assert fast.trainer.config.device.fast
