"""A search as a plain Ray Tune script: what `benchmarks.search_cost` holds `absgd-tune` against.

    python -m benchmarks.search_cost.plain_script JOB.json RESULT.json

One function trainable and one Tuner for each scenario; every trial trains from scratch in a process of its own, as Ray
does unless told otherwise. With stopping, Ray's ASHA on a clock that the trainable reports: the epochs done since the
job's `starts_at`.

JOB.json is a `Job`. RESULT.json gets a row for each epoch: scenario, number of the configuration, epoch and validation
metrics.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, TypedDict

from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits
from absgd.records import METRICS
from absgd.training import Diverged, Trainer
from tune_runs.ray_cluster.session import ray_session

Run = dict[str, Any]
"""A complete RunConfig as plain data."""


class Job(TypedDict):
    """What is searched."""

    metric: str
    asha: dict[str, int] | None
    """`starts_at`, `grace_period`, `max_t` and `reduction_factor`; None: no stopping."""
    scenarios: dict[str, list[Run]]
    """By name: the configurations to try."""


def train(trial: dict[str, int], runs: list[Run], splits: Splits, starts_at: int) -> None:
    """One trial, from its first epoch to its last."""
    from ray import tune

    trainer = Trainer(RunConfig.from_dict(runs[trial["number"]]), splits)
    try:
        for record in trainer.epochs():
            metrics = {metric: getattr(record, metric) for metric in METRICS}
            tune.report({"epoch": record.epoch, "clock": record.epoch + 1 - starts_at, **metrics})
    except Diverged:
        return


def search(name: str, runs: list[Run], job: Job, folder: str) -> list[dict[str, Any]]:
    """One scenario; a row for each epoch."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    rows: list[dict[str, Any]] = []

    class Rows(tune.Callback):  # type: ignore[misc]
        def on_trial_result(self, *, trial: Any, result: dict[str, Any], **_: Any) -> None:
            kept = {key: result[key] for key in ("epoch", *METRICS)}
            rows.append({"scenario": name, "number": trial.config["number"], **kept})

    told = dict(job["asha"] or {})
    starts_at = told.pop("starts_at", 0)
    asha = ASHAScheduler(time_attr="clock", **told) if told else None
    splits = load_splits(RunConfig.from_dict(runs[0]))
    tune.Tuner(
        tune.with_parameters(train, runs=runs, splits=splits, starts_at=starts_at),
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
    job: Job = json.loads(options.job.read_text())
    with ray_session(), tempfile.TemporaryDirectory() as folder:
        rows = [row for name, runs in job["scenarios"].items() for row in search(name, runs, job, folder)]
    options.result.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
