"""Both folders of `benchmarks.load_results` hold the same trials, and its verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import load
from benchmarks.load_results.__main__ import load_verdicts
from benchmarks.load_results.result_folders import write_ray_folder, write_run_folder


def test_both_folders_hold_the_same(tmp_path: Path) -> None:
    ours = load(write_run_folder(tmp_path / "ours", 3, 5))
    rays = load(write_ray_folder(tmp_path / "rays", 3, 5))
    assert ours.problems == rays.problems == ()
    assert len(ours.epochs) == len(rays.epochs) == 15
    for name in ("epoch", "val_balanced_accuracy", "val_recall", "mean_weight", "log_u", "images_per_s"):
        assert ours.epochs[name].tolist() == rays.epochs[name].tolist()
    for name in ("lam", "gamma", "ab_alpha", "switch_epoch", "metric_last", "status"):
        assert ours.trials[name].tolist() == rays.trials[name].tolist()


def test_ray_reads_its_folder(tmp_path: Path) -> None:
    from ray.tune import ExperimentAnalysis

    frames = ExperimentAnalysis(str(write_ray_folder(tmp_path / "rays", 2, 4))).trial_dataframes
    assert [len(frame) for frame in frames.values()] == [4, 4]


@pytest.mark.parametrize(("seconds", "peak", "holds"), [(0.5, 100, [True, True]), (1.5, 900, [False, False])])
def test_verdicts_compare_load_time_and_memory_with_the_targets(seconds: float, peak: float, holds: list[bool]) -> None:
    found = {"sides": {"ours": {"load_s": {"median": seconds}}}, "memory": [{"peak_mib": peak, "frames_mib": 100}]}
    assert [verdict.is_met for verdict in load_verdicts(found)] == holds
