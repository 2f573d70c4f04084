"""A made-up run folder of many scenarios, each with a search and a confirmation."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from absgd import records
from absgd.config import RunConfig
from absgd.yaml_text import dump_yaml

EPOCHS = 10
NUM_CLASSES = 4
NUM_TRIALS = 16
"""Search trials of a scenario; every fourth is finished, the others are pruned."""
NUM_PAIRS = 5
"""Fresh seed pairs of a confirmation."""
SEARCH = {
    "lam": {"type": "float", "low": 0.5, "high": 50.0, "log": True},
    "gamma": {"type": "float", "low": 0.1, "high": 1.0},
    "ab_alpha": {"type": "float", "low": 0.1, "high": 1.0},
}
GAINS = {"best-1": 0.03, "best-2": 0.02, "ce": 0.0, "ce-lr": 0.005, "focal": -0.01, "balanced-softmax": 0.003}
"""Confirmed configurations and controls, with their gain over plain training on test."""

_Rows = list[dict[str, Any]]


def write_scenarios(folder: Path, num_scenarios: int) -> Path:
    """Write the run folder; return its path."""
    trials: _Rows = []
    epochs: _Rows = []
    for number in range(num_scenarios):
        own, curves = _scenario(f"digits-exp-{0.01 + number / 1000:.3f}", random.Random(number))
        trials += own
        epochs += curves
    folder.mkdir(parents=True)
    records.write_table(folder / records.TRIALS_FILE, records.as_table(records.TRIAL_SCHEMA, trials))
    records.write_table(folder / records.EPOCHS_FILE, records.as_table(records.EPOCH_SCHEMA, epochs))
    space = {"name": folder.name, "search": SEARCH, "num_trials": NUM_TRIALS, "metric": records.DEFAULT_METRIC}
    (folder / records.SPACE_FILE).write_text(dump_yaml(space))
    (folder / records.ENVIRONMENT_FILE).write_text(json.dumps({"sessions": [{"command": "made up"}]}))
    return folder


def _scenario(name: str, source: random.Random) -> tuple[_Rows, _Rows]:
    """Make up the rows of a search, its control and its confirmation."""
    made = [_run(name, "control", _plain(), source, {"phase": "control", "pair": 0})]
    for number in range(NUM_TRIALS):
        is_done = number % 4 == 0
        about = {"phase": "search", "pair": 0, "number": number, "status": "completed" if is_done else "pruned"}
        config = _config(source.uniform(0.5, 50), source.uniform(0.1, 1), source.uniform(0.1, 1))
        made.append(_run(name, f"{number:04d}", config, source, about, EPOCHS if is_done else EPOCHS - 2))
    for pair in range(NUM_PAIRS):
        for candidate, gain in GAINS.items():
            config = _config(5.0, 0.7, 0.5) if records.is_best(candidate) else _plain()
            config = config.with_values({"seeds.data": 1000 + pair, "seeds.train": 2000 + pair})
            test = 0.8 + gain + source.gauss(0, 0.005)
            about = {"phase": "confirm", "pair": pair, "candidate": candidate, "test_accuracy": test}
            about |= {"test_balanced_accuracy": test, "test_loss": 1 - test, "test_recall": [test] * NUM_CLASSES}
            made.append(_run(name, f"{candidate}-{pair}", config, source, about))
    return [row for row, _ in made], [row for _, rows in made for row in rows]


def _config(lam: float, gamma: float, ab_alpha: float) -> RunConfig:
    attention = {"lam": lam, "gamma": gamma, "ab_alpha": ab_alpha, "switch_epoch": EPOCHS // 2}
    data = {"data": {"name": "digits"}, "imbalance": {"type": "exp", "ratio": 0.05}}
    return RunConfig.from_dict({**data, "loss": {"name": "abce"}, "attention": attention, "epochs": EPOCHS})


def _plain() -> RunConfig:
    return _config(1.0, 1.0, 1.0).with_values({"loss.name": "ce"}).stage_one()


def _run(
    scenario: str, name: str, config: RunConfig, source: random.Random, about: dict[str, Any], num_epochs: int = EPOCHS
) -> tuple[dict[str, Any], _Rows]:
    """Make up a run: its row and those of its epochs."""
    keys = {"run": "many", "scenario": scenario, "trial_id": f"{scenario}-{name}"}
    end = source.uniform(0.6, 0.8)
    rows = [{**keys, **_epoch(epoch, end * (1 - 0.5 ** (epoch + 1)))} for epoch in range(num_epochs)]
    summary = records.summary_columns([*rows], records.DEFAULT_METRIC)
    counts = {"class_counts": [120, 60, 20, 8], "split_hash": f"split-{config.seeds.data}"}
    return {**keys, "status": "completed", **records.config_columns(config), **summary, **counts, **about}, rows


def _epoch(epoch: int, score: float) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "stage": 1 if epoch < EPOCHS // 2 else 2,
        records.INHERITED: False,
        "lr": 0.1,
        "train_loss": 2 - score,
        **dict.fromkeys(records.METRICS, score),
        "val_loss": 2 - score,
        "val_recall": [score] * NUM_CLASSES,
        "mean_weight": [0.8, 1.0, 1.2, 1.5],
        "mean_weight_clean": 1.0,
    }
