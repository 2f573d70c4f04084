"""A search as a plain Ray Tune script: what `benchmarks/search_cost.py` holds `absgd-tune` against.

    python benchmarks/search_cost_plain.py JOB.json RESULT.json

One function trainable and one Tuner for each scenario; every trial trains from scratch in a process of its own, as Ray
does unless told otherwise. With stopping, Ray's ASHA; its first rung is the job's `grace_period`, in epochs done.

JOB.json holds `metric`, `grace_period` (null: no stopping), `reduction_factor` and `scenarios`: name -> list of
complete RunConfigs. RESULT.json gets a row for each epoch: scenario, number of the configuration, epoch and validation
metrics.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits
from absgd.records import METRICS
from absgd.training import Diverged, Trainer
from tune_runs.ray_session import ray_session


def train(trial: dict[str, Any], runs: list[dict[str, Any]], splits: Splits) -> None:
    """One trial, from its first epoch to its last."""
    from ray import tune

    trainer = Trainer(RunConfig.from_dict(runs[trial["number"]]), splits)
    try:
        for record in trainer.epochs():
            tune.report({"epoch": record.epoch, **{metric: getattr(record, metric) for metric in METRICS}})
    except Diverged:
        return


def search(name: str, runs: list[dict[str, Any]], job: dict[str, Any], folder: str) -> list[dict[str, Any]]:
    """One scenario; a row for each epoch."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    rows: list[dict[str, Any]] = []

    class Rows(tune.Callback):  # type: ignore[misc]
        def on_trial_result(self, *, trial: Any, result: dict[str, Any], **_: Any) -> None:
            kept = {key: result[key] for key in ("epoch", *METRICS)}
            rows.append({"scenario": name, "number": trial.config["number"], **kept})

    asha = job["grace_period"] and ASHAScheduler(
        max_t=runs[0]["epochs"], grace_period=job["grace_period"], reduction_factor=job["reduction_factor"]
    )
    tune.Tuner(
        tune.with_parameters(train, runs=runs, splits=load_splits(RunConfig.from_dict(runs[0]))),
        param_space={"number": tune.grid_search(list(range(len(runs))))},
        tune_config=tune.TuneConfig(metric=job["metric"], mode=METRICS[job["metric"]], scheduler=asha),
        run_config=tune.RunConfig(name=name, storage_path=folder, callbacks=[Rows()], verbose=0),
    ).fit()
    return rows


def main() -> None:
    """Search and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", type=Path)
    parser.add_argument("result", type=Path)
    options = parser.parse_args()
    job = json.loads(options.job.read_text())
    with ray_session(), tempfile.TemporaryDirectory() as folder:
        rows = [row for name, runs in job["scenarios"].items() for row in search(name, runs, job, folder)]
    options.result.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
