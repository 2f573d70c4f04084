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
