"""Complete searches of the shipped spaces for label noise on small files in the data sets' own formats."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import torchvision
from rich.console import Console

from absgd.config import RunConfig
from absgd.datasets import load_splits
from absgd.training import Trainer
from absgd.yaml_text import read_yaml
from tests.support.ray_searches import ONE_AT_A_TIME
from tests.support.small_files import write_cifar10, write_cifar100, write_clothing1m
from tune_runs.request.search_request import new_request
from tune_runs.request.space_files import find_space, space_from_dict
from tune_runs.run_search import run_search
from tune_runs.space.model import SearchSpace

RATE = 0.4
SMALL_BASE: dict[str, dict[str, dict[str, Any]]] = {
    "noisy_cifar10": {"data": {"download": False, "val_per_class": 2}},
    "noisy_cifar100": {"data": {"download": False, "val_per_class": 1}, "model": {"name": "resnet8"}},
    "clothing1m": {"data": {"side": 32, "workers": 0}, "model": {"name": "resnet18", "weights": None}},
}
"""Changes that make each space's base small."""
NOISES: dict[str, list[dict[str, Any]]] = {
    "noisy_cifar10": [{"type": "cifar10_pairs", "rate": RATE}],
    "noisy_cifar100": [{"type": "symmetric", "rate": RATE}, {"type": "cifar100_superclasses", "rate": RATE}],
}
"""Noise of the scenarios that are searched."""


def small(name: str, root: Path, num_trials: int = 1, weights: str | None = None) -> SearchSpace:
    """Return the shipped space with its recipe and the authors' points, fewer files and epochs, a smaller model."""
    given: dict[str, Any] = read_yaml(find_space(name))
    for section, values in SMALL_BASE[name].items():
        given["base"][section] |= values
    given["base"]["data"]["root"] = str(root)
    if weights is not None:
        given["base"]["model"]["weights"] = weights
    given["base"]["schedule"]["milestones"] = [1]
    given["base"]["epochs"] = 3
    given["search"]["switch_epoch"] |= {"low": 1, "high": 2}
    given["enqueue"] = [{**point, "switch_epoch": 2} for point in given["enqueue"]]
    if "scenarios" in given:
        given["scenarios"] = [one for one in given["scenarios"] if one["noise"] in NOISES[name]]
    changed = {"num_trials": num_trials, "resources": ONE_AT_A_TIME, "confirm": None}
    changed["seeds"] = {"pairs": 1}
    return space_from_dict(given | changed, f"small {name}")


def searched(space: SearchSpace, folder: Path) -> pd.DataFrame:
    """Search, check that every run was completed, and return the rows of the trials."""
    assert run_search(new_request(space, folder), Console(file=io.StringIO())) == "complete"
    trials = pd.read_parquet(folder / "trials.parquet")
    assert set(trials.status) == {"completed"}
    assert len(trials) == len(space.scenario_list) * (space.num_trials + 1)
    return trials


@pytest.mark.filterwarnings("ignore:.*does not hold the published")
@pytest.mark.parametrize(
    ("name", "write", "per_class"), [("noisy_cifar10", write_cifar10, 7), ("noisy_cifar100", write_cifar100, 4)]
)
def test_shipped_noisy_cifar_space_searches_small_files(
    ray: None, tmp_path: Path, name: str, write: Callable[..., Path], per_class: int
) -> None:
    space, folder = small(name, write(tmp_path / "data", per_class)), tmp_path / "run"
    trials = searched(space, folder)
    assert set(trials.noise_type) == {noise["type"] for noise in NOISES[name]}
    assert set(trials.noise_rate) == {RATE}
    point = space.enqueue[0]
    search = trials[trials.phase == "search"]
    for column in ("lam", "gamma", "ab_alpha", "switch_epoch"):
        assert set(search[column]) == {point[column]}, "the authors' settings come first"
    assert search.add_uniform.all()
    epochs = pd.read_parquet(folder / "epochs.parquet").merge(search[["trial_id", "scenario"]], on="trial_id")
    assert epochs[["mean_weight_clean", "mean_weight_changed"]].notna().all(axis=None)
    best = search.iloc[0]
    labels = pd.read_parquet(folder / "scenarios" / best.scenario / "train_labels.parquet")
    assert 0 < labels.changed.sum() <= RATE * len(labels) + 1e-9
    config = RunConfig.from_yaml(folder / "best" / f"{best.scenario}.yaml")
    *_, last = Trainer(config, load_splits(config)).epochs()
    assert last.val_balanced_accuracy == best.metric_last


def test_shipped_clothing1m_space_searches_small_files_at_relative_paths(
    ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials run in other folders: both paths are resolved in the folder of the command."""
    monkeypatch.chdir(tmp_path)
    write_clothing1m(tmp_path / "data", 3)
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), "resnet18.pth")
    trials = searched(small("clothing1m", Path("data"), num_trials=3, weights="resnet18.pth"), Path("run"))
    assert set(trials.data_root) == {str(tmp_path / "data")}
    assert set(trials.weights) == {str(tmp_path / "resnet18.pth")}
    assert set(trials.validation) == {"own"}
    assert sorted(trials[trials.phase == "search"].loss) == ["abce", "absce", "abtce"]
    assert trials[trials.phase == "control"].loss.tolist() == ["sce"], "weights of the first point"
    epochs = pd.read_parquet("run/epochs.parquet").merge(trials[["trial_id", "loss"]], on="trial_id")
    assert (epochs.kept_fraction.notna() == (epochs.loss == "abtce")).all()
