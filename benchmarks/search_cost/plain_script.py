"""A search as a plain Ray Tune script, with which `benchmarks.search_cost` compares `absgd-tune`.

    python -m benchmarks.search_cost.plain_script JOB.json RESULT.json

One function trainable and one Tuner for each scenario; every trial trains from scratch in its own process, which is
Ray's default. With stopping, Ray's ASHA uses a clock that the trainable reports: the epochs done since the job's
`starts_at`.

JOB.json is a `PlainJob`. RESULT.json gets a row for each epoch: scenario, number of the configuration, epoch and
validation metrics.
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

RunSettings = dict[str, Any]
"""A complete RunConfig as plain data."""


class PlainJob(TypedDict):
    """The search to run."""

    metric: str
    asha: dict[str, int] | None
    """`starts_at`, `grace_period`, `max_t` and `reduction_factor`; None stands for no stopping."""
    resources: dict[str, float]
    """CPUs and GPUs of a trial."""
    scenarios: dict[str, list[RunSettings]]
    """Configurations to try, by scenario."""


def train_from_scratch(trial: dict[str, int], runs: list[RunSettings], splits: Splits, starts_at: int) -> None:
    """Train one trial from its first epoch to its last."""
    from ray import tune

    trainer = Trainer(RunConfig.from_dict(runs[trial["number"]]), splits)
    try:
        for record in trainer.epochs():
            metrics = {metric: getattr(record, metric) for metric in METRICS}
            tune.report({"epoch": record.epoch, "clock": record.epoch + 1 - starts_at, **metrics})
    except Diverged:
        return


def search_scenario(name: str, runs: list[RunSettings], job: PlainJob, folder: str) -> list[dict[str, Any]]:
    """Search one scenario; return a row for each epoch."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    rows: list[dict[str, Any]] = []

    class RowCallback(tune.Callback):  # type: ignore[misc]
        def on_trial_result(self, *, trial: Any, result: dict[str, Any], **_: Any) -> None:
            kept = {key: result[key] for key in ("epoch", *METRICS)}
            rows.append({"scenario": name, "number": trial.config["number"], **kept})

    settings = dict(job["asha"] or {})
    starts_at = settings.pop("starts_at", 0)
    scheduler = ASHAScheduler(time_attr="clock", **settings) if settings else None
    splits = load_splits(RunConfig.from_dict(runs[0]))
    train = tune.with_parameters(train_from_scratch, runs=runs, splits=splits, starts_at=starts_at)
    tune.Tuner(
        tune.with_resources(train, job["resources"]),
        param_space={"number": tune.grid_search(list(range(len(runs))))},
        tune_config=tune.TuneConfig(metric=job["metric"], mode=METRICS[job["metric"]], scheduler=scheduler),
        run_config=tune.RunConfig(name=name, storage_path=folder, callbacks=[RowCallback()], verbose=0),
    ).fit()
    return rows


def main() -> None:
    """Run the job and write its rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", type=Path)
    parser.add_argument("result", type=Path)
    options = parser.parse_args()
    job: PlainJob = json.loads(options.job.read_text())
    with ray_session(), tempfile.TemporaryDirectory() as folder:
        rows = [row for name, runs in job["scenarios"].items() for row in search_scenario(name, runs, job, folder)]
    options.result.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
