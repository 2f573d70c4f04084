"""An experiment folder that the installed Ray wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis import load


def test_a_folder_that_ray_wrote(tmp_path: Path, ray: None) -> None:
    from ray import tune
    from ray.tune.logger import JsonLoggerCallback

    def objective(config: dict[str, Any]) -> None:
        for k in range(3):
            tune.report({"mean_accuracy": config["lam"] / 10 + k / 100})

    space = {"lam": tune.grid_search([1.0, 2.0]), "gamma": 0.5}
    written = [JsonLoggerCallback()]  # Ray's default, which the suite's environment switches off
    run = tune.RunConfig(name="plain", storage_path=str(tmp_path), verbose=0, callbacks=written)
    tune.Tuner(objective, param_space=space, run_config=run).fit()
    runs = load(tmp_path / "plain")
    assert sorted(runs.trials.lam) == [1.0, 2.0]
    assert sorted(runs.trials.metric_last) == pytest.approx([0.12, 0.22])
    assert len(runs.epochs) == 6


def test_a_trial_that_ray_started_again_and_one_that_ended_with_nan(tmp_path: Path, ray: None) -> None:
    from ray import tune
    from ray.tune.logger import JsonLoggerCallback

    def objective(config: dict[str, Any]) -> None:
        mark = Path(config["marks"], config["end"])
        for k in range(3):
            accuracy = float("nan") if (k, config["end"]) == (2, "nan") else 90.0 + k
            tune.report({"val": {"top1": accuracy}, "epoch": k + 1})
            if config["end"] == "lost" or (k == 1 and config["end"] == "again" and not mark.exists()):
                mark.touch()
                raise RuntimeError(config["end"])

    space = {"end": tune.grid_search(["again", "lost", "nan", "well"]), "marks": str(tmp_path)}
    run = tune.RunConfig(
        name="hard",
        storage_path=str(tmp_path),
        verbose=0,
        callbacks=[JsonLoggerCallback()],
        failure_config=tune.FailureConfig(max_failures=1),
    )
    tune.Tuner(objective, param_space=space, run_config=run).fit()
    runs = load(tmp_path / "hard", names={"val/top1": "val_accuracy"}, percent=True)
    trials = runs.trials.set_index("params/end")
    assert trials.status.to_dict() == {"again": "completed", "lost": "failed", "nan": "diverged", "well": "completed"}
    assert trials.metric_last[["again", "well"]].tolist() == pytest.approx([0.92, 0.92])
    assert sorted(set(runs.epochs.epoch)) == [0, 1, 2]
    told = "\n".join(problem.text for problem in runs.problems)
    assert "1 trial raised an error, started again and ended as told by Ray: not failed" in told
    assert "epochs are counted from 1: taken as counted from 0" in told
