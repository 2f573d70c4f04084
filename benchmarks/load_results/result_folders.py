"""Made-up trials, written as a run folder of absgd-tune and as an experiment folder of Ray Tune."""

from __future__ import annotations

import importlib
import json
import random
from pathlib import Path
from typing import Any

from absgd import records
from absgd.config import RunConfig

NUM_CLASSES = 10
SWITCH = 0.8
"""Share of the epochs before the switch."""


def made_up_trial(number: int, epochs: int) -> tuple[dict[str, Any], list[dict[str, Any]], RunConfig]:
    """Make up a trial as the recorder writes it: its row, its epochs and its configuration."""
    source = random.Random(number)
    switch = int(SWITCH * epochs)
    attention = {"lam": source.uniform(0.5, 50), "gamma": source.uniform(0.1, 1), "ab_alpha": source.uniform(0.1, 1)}
    settings = {"data": {"name": "digits"}, "imbalance": {"type": "exp", "ratio": 0.05}, "loss": {"name": "abce"}}
    config = RunConfig.from_dict({**settings, "attention": {**attention, "switch_epoch": switch}, "epochs": epochs})
    keys = {"run": "many", "scenario": "digits-exp-0.05", "trial_id": f"digits-exp-0.05-{number:04d}"}
    rows = [{**keys, **_epoch(source, epoch, switch)} for epoch in range(epochs)]
    about = {"number": number, "phase": "search", "pair": 0, "status": "completed", "class_counts": [50] * NUM_CLASSES}
    summary = records.summary_columns([*rows], records.DEFAULT_METRIC)
    return {**keys, **about, **records.config_columns(config), **summary, "wall_s": 100.0}, rows, config


def _epoch(source: random.Random, epoch: int, switch: int) -> dict[str, Any]:
    score = source.uniform(0.3, 0.9)
    return {
        "epoch": epoch,
        "stage": 1 if epoch < switch else 2,
        records.INHERITED: False,
        "lr": 0.1,
        **{name: source.uniform(0.2, 0.9) for name in ("train_loss", *records.METRICS)},
        "val_balanced_accuracy": score,
        "val_recall": [source.random() for _ in range(NUM_CLASSES)],
        "log_u": source.gauss(0, 1),
        "mean_weight": [source.random() for _ in range(NUM_CLASSES)],
        "mean_weight_clean": source.random(),
        "train_s": source.random(),
        "val_s": source.random(),
        "images_per_s": 4000 * source.random(),
    }


def write_run_folder(folder: Path, trials: int, epochs: int) -> Path:
    """Write a run folder of absgd-tune."""
    folder.mkdir(parents=True)
    made = [made_up_trial(number, epochs) for number in range(trials)]
    records.write_table(
        folder / records.TRIALS_FILE, records.as_table(records.TRIAL_SCHEMA, [row for row, _, _ in made])
    )
    rows = [row for _, own, _ in made for row in own]
    records.write_table(folder / records.EPOCHS_FILE, records.as_table(records.EPOCH_SCHEMA, rows))
    return folder


def write_ray_folder(folder: Path, trials: int, epochs: int) -> Path:
    """Write an experiment folder of Ray Tune with the same content."""
    from ray.tune import PlacementGroupFactory
    from ray.tune.experiment import Trial

    storage_context = importlib.import_module("ray.train._internal.storage").StorageContext
    states = []
    for number in range(trials):
        _, rows, config = made_up_trial(number, epochs)
        assert config.attention is not None, "these runs have a stage two"
        params = {**config.attention.model_dump(), "dataset": "digits", "imb_type": "exp", "imb_factor": 0.05}
        name, trial_id = f"train_{number:05d}", f"ab12c_{number:05d}"
        own = folder / name
        own.mkdir(parents=True)
        (own / "params.json").write_text(json.dumps(params, indent=4))
        results = [_result(row, trial_id, params) for row in rows]
        (own / "result.json").write_text("".join(json.dumps(result) + "\n" for result in results))
        storage = storage_context(storage_path=str(folder.parent), experiment_dir_name=folder.name, trial_dir_name=name)
        trial = Trial("train", config=params, trial_id=trial_id, storage=storage, stub=True)
        trial.placement_group_factory = PlacementGroupFactory([{"CPU": 1}])
        trial.update_last_result(results[-1])
        trial.status = Trial.TERMINATED
        states.append(trial.get_json_state())
    state = {"trial_data": states, "runner_data": {}, "stats": {"start_time": 0}}
    (folder / "experiment_state-2026-01-01_00-00-00.json").write_text(json.dumps(state))
    return folder


_NOT_REPORTED = ("run", "scenario", "trial_id", records.INHERITED)


def _result(row: dict[str, Any], trial_id: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return a result as Ray writes it: the reported values, then Ray's own."""
    done, spent = row["epoch"] + 1, row["train_s"] + row["val_s"]
    return {
        **{name: value for name, value in row.items() if name not in _NOT_REPORTED},
        "timestamp": 1795528949,
        "checkpoint_dir_name": None,
        "done": False,
        "training_iteration": done,
        "trial_id": trial_id,
        "date": "2026-01-01_00-00-00",
        "time_this_iter_s": spent,
        "time_total_s": spent * done,
        "pid": 1,
        "hostname": "host",
        "node_ip": "127.0.0.1",
        "config": params,
        "time_since_restore": spent * done,
        "iterations_since_restore": done,
    }
