"""`absgd_trainable` in a user's own Tuner, under schedulers of Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining, TrialScheduler
from ray.util import list_named_actors

from absgd.datasets import load_splits
from absgd.training import Trainer
from analysis import load
from tune_runs import absgd_trainable
from tune_runs.own_tuner import run_of

METRIC = "val_balanced_accuracy"
SPACE: dict[str, Any] = {
    "data": {"name": "digits", "val_per_class": 5, "n_max": 20},
    "imbalance": {"type": "exp", "ratio": 0.1},
    "model.name": "resnet8",
    "attention": {"lam": tune.loguniform(0.5, 50), "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 1},
    "loss.name": "abce",
    "optimizer.lr": tune.choice([0.02, 0.05]),
    "epochs": 4,
    "batch_size": 32,
}


def fit(folder: Path, num: int, scheduler: TrialScheduler | None = None, **changes: Any) -> tune.ResultGrid:
    """Let a Tuner train `num` trials on two CPUs."""
    config = tune.TuneConfig(metric=METRIC, mode="max", num_samples=num, scheduler=scheduler, max_concurrent_trials=2)
    run = tune.RunConfig(name="mine", storage_path=str(folder), verbose=0)
    return tune.Tuner(absgd_trainable, param_space={**SPACE, **changes}, tune_config=config, run_config=run).fit()


@pytest.fixture(autouse=True)
def rays_own_files(ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set Ray's environment as a plain script has it."""
    for name in ("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "TUNE_GLOBAL_CHECKPOINT_S"):
        monkeypatch.delenv(name, raising=False)


def test_asha_of_ray_ends_with_a_folder_that_analysis_reads(tmp_path: Path) -> None:
    grid = fit(tmp_path, 4, ASHAScheduler(max_t=4, grace_period=1, reduction_factor=2))
    assert not grid.errors
    runs = load(tmp_path / "mine")
    assert len(runs.trials) == 4
    assert set(runs.trials.status) <= {"completed", "pruned"}
    assert set(runs.trials.scenario) == {"digits-exp-0.1"}
    assert (runs.trials.dataset == "digits").all()
    assert (runs.trials.model == "resnet8").all()
    assert set(runs.trials.lr) <= {0.02, 0.05}
    best = grid.get_best_result()
    run = run_of(best.config)
    (name,) = (one for one in runs.trials.trial_id if best.metrics["trial_id"] in one)
    assert runs.trials.set_index("trial_id").lam[name] == run.attention.lam  # type: ignore[union-attr]
    alone = [record.val_loss for record in Trainer(run, load_splits(run)).epochs()]
    epochs = runs.epochs[runs.epochs.trial_id == name]
    assert epochs.val_loss.tolist() == alone[: len(epochs)]
    assert len([one for one in list_named_actors(True) if one["namespace"] == "absgd-images"]) == 1


def test_exploits_of_population_based_training_continue_with_the_new_settings(tmp_path: Path) -> None:
    rates = {0.001, 0.002, 0.004, 0.008}
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=1,
        quantile_fraction=0.5,
        resample_probability=1.0,
        synch=True,
        hyperparam_mutations={"optimizer.lr": sorted(rates), "optimizer": {"momentum": [0.1, 0.2, 0.3]}},
    )
    first = {"optimizer.lr": tune.grid_search([0.05, 1.0]), "optimizer": {"momentum": 0.9}}
    grid = fit(tmp_path, 1, scheduler, **first)
    assert not grid.errors
    # Ray's own files may lack rows of a trial that was paused, so its last results are asked.
    assert {one.metrics["epoch"] for one in grid} == {3}
    assert {one.metrics["lr"] for one in grid} & rates, "one of two trials is behind after the first epoch"
    epochs = load(tmp_path / "mine").epochs.groupby("trial_id").epoch
    assert all(found.is_monotonic_increasing for _, found in epochs)


def test_trial_that_fails_continues_from_its_checkpoint(tmp_path: Path) -> None:
    mark = tmp_path / "failed"

    def failing_once(config: dict[str, Any]) -> None:
        report = tune.report

        def failing(metrics: dict[str, Any], **more: Any) -> None:
            report(metrics, **more)
            if metrics["epoch"] == 1 and not mark.exists():
                mark.touch()
                raise RuntimeError("lost")

        tune.report = failing
        absgd_trainable(config)

    config = {**SPACE, "attention": {**SPACE["attention"], "lam": 5.0}, "optimizer.lr": 0.02}
    failure = tune.FailureConfig(max_failures=1)
    run = tune.RunConfig(name="mine", storage_path=str(tmp_path), verbose=0, failure_config=failure)
    (result,) = tune.Tuner(failing_once, param_space=config, run_config=run).fit()
    assert mark.exists()
    assert result.error is None
    alone = [record.val_loss for record in Trainer(run_of(config), load_splits(run_of(config))).epochs()]
    epochs = load(tmp_path / "mine").epochs
    assert dict(zip(epochs.epoch, epochs.val_loss, strict=True)) == dict(enumerate(alone))


def test_trial_that_diverges_reports_it_and_ends(tmp_path: Path) -> None:
    grid = fit(tmp_path, 1, **{"optimizer.lr": tune.grid_search([0.02, 1e30]), "epochs": 2})
    assert not grid.errors
    trials = load(tmp_path / "mine").trials
    assert dict(zip(trials.lr, trials.status, strict=True)) == {0.02: "completed", 1e30: "diverged"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer.lrr": 0.1}, "unknown key `optimizer.lrr`; did you mean `optimizer.lr`?"),
        ({"epoch": 3}, "unknown key `epoch`; did you mean `epochs`? (param_space: epoch)"),
        ({"data": {"name": "cifar10", "root": "nowhere", "download": False}}, "nowhere"),
    ],
    ids=["dotted", "nested", "data"],
)
def test_bad_param_space_is_one_error_of_the_trial(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    (error,) = fit(tmp_path, 1, **changes).errors
    assert message in str(error)
    assert "UserError" in str(error)


def test_metric_that_no_run_has_is_named_by_ray(tmp_path: Path) -> None:
    config = tune.TuneConfig(scheduler=ASHAScheduler(metric="accuracy", mode="max"), num_samples=1)
    run = tune.RunConfig(name="mine", storage_path=str(tmp_path), verbose=0)
    with pytest.raises(Exception, match="accuracy"):
        tune.Tuner(absgd_trainable, param_space={**SPACE, "epochs": 2}, tune_config=config, run_config=run).fit()
