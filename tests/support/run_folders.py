"""Small synthetic run folders, written with absgd.records."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from absgd import records
from absgd.config import RunConfig

EPOCHS = 10
SIZES = [120, 60, 20, 8]
"""Training images of each class."""
METRIC = "val_balanced_accuracy"
SEARCH = {
    "lam": {"type": "float", "low": 0.5, "high": 50.0, "log": True},
    "gamma": {"type": "float", "low": 0.1, "high": 1.0},
    "ab_alpha": {"type": "float", "low": 0.1, "high": 1.0},
    "switch_epoch": {"type": "int", "low": 4, "high": 7},
}


def config(**values: Any) -> RunConfig:
    """Return a run config with some settings changed (`attention__lam=5` for attention.lam)."""
    base = RunConfig.from_dict(
        {
            "data": {"name": "digits", "val_per_class": 30},
            "imbalance": {"type": "exp", "ratio": 0.05},
            "model": {"name": "resnet8"},
            "loss": {"name": "abce"},
            "attention": {"lam": 5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 5},
            "optimizer": {"lr": 0.05},
            "epochs": EPOCHS,
            "device": {"type": "cpu", "threads": 1},
        }
    )
    return base.with_values({name.replace("__", "."): value for name, value in values.items()})


@dataclasses.dataclass
class RunFolderBuilder:
    """Trials and epochs to be written as a run folder."""

    path: Path
    scenario: str = "digits-exp-0.05"
    trials: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    epochs: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def add(
        self,
        trial_id: str,
        run: RunConfig,
        end: float,
        *,
        phase: records.Phase = "search",
        status: records.Status = "completed",
        num_epochs: int = EPOCHS,
        inherited: int = 0,
        test: float | None = None,
        test_chosen: float | None = None,
        curve: Sequence[float] | None = None,
        metric: str = METRIC,
        **columns: Any,
    ) -> dict[str, Any]:
        """Add a trial whose metric rises to `end`, or follows `curve`."""
        values = list(curve) if curve is not None else [end * (1 - 0.5 ** (k + 1)) for k in range(num_epochs)]
        if curve is None and values:
            values[-1] = end
        rows = [self._epoch(trial_id, run, k, value, k < inherited, metric) for k, value in enumerate(values)]
        row = {
            "run": self.path.name,
            "scenario": self.scenario,
            "trial_id": trial_id,
            "number": len(self.trials) if phase == "search" else None,
            "phase": phase,
            "pair": None if phase == "single" else run.seeds.data,
            "status": status,
            **records.config_columns(run),
            **records.summary_columns(rows, metric),
            "wall_s": 1.5,
            "started_at": datetime(2026, 1, 2, tzinfo=UTC),
            "class_counts": SIZES,
            "split_hash": f"split-{run.seeds.data}",
            "stage_one_key": f"stage-{run.optimizer.lr}-{run.seeds.train}",
            **(_test_columns(test, test_chosen) if test is not None else {}),
            **columns,
        }
        self.trials.append(row)
        self.epochs += rows
        return row

    def write(self, space: Mapping[str, Any] | None = None) -> Path:
        """Write all files of the folder."""
        self.path.mkdir(parents=True, exist_ok=True)
        trials = records.as_table(records.TRIAL_SCHEMA, self.trials)
        records.write_table(self.path / records.TRIALS_FILE, trials)
        epochs = records.as_table(records.EPOCH_SCHEMA, self.epochs)
        records.write_table(self.path / records.EPOCHS_FILE, epochs)
        about = {"name": self.path.name, "search": SEARCH, "num_trials": 16, "metric": METRIC, **(space or {})}
        (self.path / records.SPACE_FILE).write_text(yaml.safe_dump(about))
        session = {"command": "absgd-tune --space s.yaml", "python": "3.11", "packages": {"torch": "2.14", "x": None}}
        (self.path / records.ENVIRONMENT_FILE).write_text(json.dumps({"sessions": [session]}))
        return self.path

    def _epoch(self, trial_id: str, run: RunConfig, epoch: int, value: float, inherited: bool, metric: str) -> Any:
        in_stage_two = run.attention is not None and epoch >= run.attention.switch_epoch
        recall = [min(1.0, value * factor) for factor in (1.1, 1.05, 1.0, 0.85)]
        loss = 2.0 - value
        return {
            "run": self.path.name,
            "scenario": self.scenario,
            "trial_id": trial_id,
            "epoch": epoch,
            "stage": 2 if in_stage_two else 1,
            "inherited": inherited,
            "lr": 0.05,
            "train_loss": loss,
            **dict.fromkeys(records.METRICS, value),
            "val_loss": value if metric == "val_loss" else loss,
            "val_recall": recall,
            "log_u": -0.1 if in_stage_two else None,
            "mean_weight": [0.8, 1.0, 1.2, 1.5] if in_stage_two else [1.0] * 4,
            "mean_weight_clean": 0.9 if in_stage_two else 1.0,
            "mean_weight_changed": (0.4 if in_stage_two else 1.0) if run.noise.type != "none" else None,
            "train_s": 0.1,
            "val_s": 0.02,
            "images_per_s": 2000.0,
        }


def _test_columns(test: float, chosen: float | None) -> dict[str, Any]:
    second = test + 0.001 if chosen is None else chosen
    return {
        "test_loss": 1 - test,
        "test_accuracy": test,
        "test_balanced_accuracy": test,
        "test_recall": [min(1.0, test * factor) for factor in (1.1, 1.05, 1.0, 0.85)],
        "test_chosen_loss": 1 - second,
        "test_chosen_accuracy": second,
        "test_chosen_balanced_accuracy": second,
    }


def search_rows(folder: RunFolderBuilder, num_trials: int = 16, seed: int = 0) -> None:
    """Add a control and a search: one trial in four finished, one diverged, the others were pruned."""
    source = random.Random(seed)
    plain = config(**{"loss__name": "ce"}).stage_one()
    folder.add(f"{folder.scenario}-control", plain, 0.80, phase="control")
    for number in range(num_trials):
        switch = source.randint(4, 7)
        lam = math.exp(source.uniform(math.log(0.5), math.log(50)))
        run = config(
            attention__lam=lam,
            attention__gamma=source.uniform(0.1, 1.0),
            attention__ab_alpha=source.uniform(0.1, 1.0),
            attention__switch_epoch=switch,
        )
        end = 0.85 - 0.02 * abs(math.log(lam / 5))
        status: records.Status = "completed" if number % 4 == 0 else "diverged" if number == 5 else "pruned"
        done = EPOCHS if status == "completed" else switch + 2
        trial_id = f"{folder.scenario}-{number:04d}"
        value = end if status == "completed" else end - 0.1
        folder.add(trial_id, run, value, status=status, num_epochs=done, inherited=switch)


def replicate_rows(folder: RunFolderBuilder, num_pairs: int = 3) -> None:
    """Add further pairs of seeds to `search_rows`: trials 0, 4 and 8, of which 4 is ahead over all pairs."""
    for pair in range(1, num_pairs):
        seeds = {"seeds.data": pair, "seeds.train": pair}
        plain = config(**{"loss__name": "ce"}).stage_one().with_values(seeds)
        folder.add(f"{folder.scenario}-control-pair{pair}", plain, 0.70 + pair / 100, phase="control")
        for number in (0, 4, 8):
            trial_id = f"{folder.scenario}-{number:04d}"
            row = next(row for row in folder.trials if row["trial_id"] == trial_id)
            trial = records.config_of(row)
            end = 0.70 + pair / 100 + (0.2 if number == 4 else 0.01)
            name = f"{trial_id}-pair{pair}"
            folder.add(name, trial.with_values(seeds), end, phase="replicate", number=row["number"])


GAINS = (0.020, 0.028, 0.024, 0.031, 0.022)
"""Gains of `best-1` over `ce` on test, by fresh seed."""
GAINS_LR = (0.004, -0.006, 0.002, -0.003, 0.005)
"""Gains of `best-1` over `ce-lr` on test, by fresh seed."""


def confirm_rows(
    folder: RunFolderBuilder, gains: Sequence[float] = GAINS, gains_lr: Sequence[float] = GAINS_LR
) -> None:
    """Add two candidates and four controls, on one fresh seed per gain."""
    for k, (gain, gain_lr) in enumerate(zip(gains, gains_lr, strict=True)):
        seeds = {"seeds__data": 1000 + k, "seeds__train": 2000 + k}
        base = 0.80 + 0.006 * math.sin(3 * k)
        best = base + gain
        second = config(attention__lam=9.0, **seeds)
        plain = config(loss__name="ce", **seeds).stage_one()
        rows = {
            "best-1": (config(**seeds), best + 0.01, best),
            "best-2": (second, best, best - 0.004),
            "ce": (plain, base, base),
            "ce-lr": (plain.with_values({"optimizer.lr": 0.1}), best - gain_lr, best - gain_lr),
            "focal": (config(loss__name="focal", **seeds).stage_one(), base - 0.01, base - 0.01),
            "balanced-softmax": (plain, base + 0.002, base + 0.003),
        }
        for name, (run, validation, test) in rows.items():
            trial_id = f"{folder.scenario}-{name}-{k}"
            folder.add(trial_id, run, validation, phase="confirm", candidate=name, test=test)


PREDICTED_IMAGES = {"validation": 120, "test": 400}
"""Images of each split with made-up predictions; every class has equally many."""


def prediction_rows(folder: RunFolderBuilder) -> None:
    """Write predictions of the runs of a confirmation, and give their rows the accuracy of these."""
    for place, row in enumerate(folder.trials):
        if row["phase"] == "confirm":
            test = made_up_predictions(place, PREDICTED_IMAGES["test"], row["test_accuracy"])
            validation = made_up_predictions(1000 + place, PREDICTED_IMAGES["validation"], row["metric_last"])
            row["test_accuracy"] = float((test.logits_NC.argmax(axis=1) == test.labels_N).mean())
            file = records.predictions_file(folder.path, row["trial_id"])
            file.parent.mkdir(parents=True, exist_ok=True)
            records.write_table(file, records.prediction_table({"validation": validation, "test": test}))


def made_up_predictions(seed: int, num_images: int, accuracy: float, num_classes: int = 4) -> records.SplitPredictions:
    """Return predictions of about an accuracy: too sure, and worse for classes with few training images."""
    source = np.random.default_rng(seed)
    labels_N = np.arange(num_images) % num_classes
    logits_NC = source.normal(size=(num_images, num_classes)) * 2
    lead_N = np.where(source.random(num_images) < accuracy + 0.1 - 0.2 * labels_N / num_classes, 4.0, -1.0)
    logits_NC[np.arange(num_images), labels_N] += lead_N
    logits_NC -= logits_NC.max(axis=1, keepdims=True)
    changed_N = np.zeros(num_images, dtype=np.bool_)
    return records.SplitPredictions(labels_N, changed_N, logits_NC.astype(np.float16))


def predicted(path: Path, scenario: str = "digits-exp-0.05") -> Path:
    """Write a run folder with search, control, confirmation, and its predictions."""
    folder = RunFolderBuilder(path, scenario)
    search_rows(folder)
    confirm_rows(folder)
    prediction_rows(folder)
    return folder.write({"confirm": {"predictions": True}})


def searched(path: Path, scenario: str = "digits-exp-0.05", seed: int = 0) -> Path:
    """Write a run folder with a search and its control."""
    folder = RunFolderBuilder(path, scenario)
    search_rows(folder, seed=seed)
    return folder.write()


def confirmed(path: Path, scenario: str = "digits-exp-0.05") -> Path:
    """Write a run folder with search, control and confirmation."""
    folder = RunFolderBuilder(path, scenario)
    search_rows(folder)
    confirm_rows(folder)
    return folder.write()


EVIL = "<script>alert(1)</script>"
"""A script that no page may run."""


def evil_folder(path: Path) -> Path:
    """Write a run folder whose names and texts contain HTML."""
    folder = RunFolderBuilder(path, EVIL)
    search_rows(folder)
    confirm_rows(folder)
    for row in folder.trials:
        row["run"] = f"{EVIL}&\"'"
        row["error"] = EVIL if row["status"] == "diverged" else None
    written = folder.write()
    session = {"command": f"{EVIL} \u2028", "cpu": EVIL, "packages": {EVIL: EVIL}, "gpus": [EVIL]}
    (written / "environment.json").write_text(json.dumps({"sessions": [session]}))
    return written
