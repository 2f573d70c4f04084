"""Complete searches of the shipped CIFAR spaces on small files in CIFAR's own format."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from absgd.config import RunConfig
from absgd.datasets import load_splits, load_test
from absgd.training import Trainer
from absgd.yaml_text import read_yaml
from tests.support.ray_searches import ONE_AT_A_TIME
from tests.support.small_files import write_cifar10, write_cifar100
from tune_runs.request.search_request import new_request
from tune_runs.request.space_files import find_space, space_from_dict
from tune_runs.run_search import run_search
from tune_runs.space.model import SearchSpace

WRITERS = {"cifar10": (write_cifar10, 14), "cifar100": (write_cifar100, 12)}
IMBALANCE = {"cifar10": "exp", "cifar100": "step"}
"""Type of the scenario that is searched, of ratio 0.1."""


def small(name: str, root: Path) -> SearchSpace:
    """Return the shipped space with its recipe, with fewer files and epochs and a smaller model."""
    given: dict[str, Any] = read_yaml(find_space(name))
    base = given["base"]
    base["data"] |= {"root": str(root), "download": False, "val_per_class": 2}
    base["schedule"] |= {"warmup_epochs": 1, "milestones": [1]}
    base |= {"model": {**base["model"], "name": "resnet8"}, "epochs": 3}
    given["search"]["switch_epoch"] |= {"low": 1, "high": 2}
    scenarios = [{"imbalance": {"type": IMBALANCE[name], "ratio": 0.1}}]
    assert scenarios[0] in given["scenarios"]
    changed = {
        "scenarios": scenarios,
        "num_trials": 1,
        "resources": ONE_AT_A_TIME,
        "enqueue": [],
        "seeds": {"pairs": 1},
        "confirm": None,
    }
    if name == "cifar100":  # all methods are tuned on the tenth of the classes
        given["controls"]["methods"] = ["ce", "cb-ce-drw", "ldam-drw"]
    return space_from_dict(given | changed, f"small {name}")


@pytest.mark.filterwarnings("ignore:.*does not hold the published")
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_shipped_cifar_space_searches_small_files(ray: None, tmp_path: Path, name: str) -> None:
    write, per_class = WRITERS[name]
    write(tmp_path / "data", per_class)
    folder = tmp_path / "run"
    assert run_search(new_request(small(name, tmp_path / "data"), folder), Console(file=io.StringIO())) == "complete"
    trials = pd.read_parquet(folder / "trials.parquet")
    (scenario,) = trials.scenario.unique()
    assert scenario == f"{name}-{IMBALANCE[name]}-0.1"
    assert set(trials[trials.phase != "tuning"].status) == {"completed"}
    tuned = trials[trials.phase == "tuning"]
    assert len(tuned)
    assert set(tuned.status) <= {"completed", "pruned"}, "they are stopped early"
    largest = per_class - 2
    counts = trials.class_counts.iloc[0]
    assert (counts[0], counts[-1]) == (largest, int(largest * 0.1))
    assert set(trials[trials.phase == "search"].class_balance_from_epoch) == {"switch"}
    config = RunConfig.from_yaml(folder / "best" / f"{scenario}.yaml")
    trainer = Trainer(config, load_splits(config))
    *_, last = trainer.epochs()
    assert last.val_balanced_accuracy == trials[trials.phase == "search"].metric_last.iloc[0]
    assert 0 <= trainer.test(load_test(config)).test_accuracy <= 1
