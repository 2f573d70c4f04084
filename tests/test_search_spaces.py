"""The shipped spaces: they load, fit their schema and hold the authors' recipes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pydantic
import pytest

from absgd.config import RunConfig
from absgd.config.recipes import load_recipe
from absgd.yaml_text import read_yaml
from tests.support.spaces import preview_of
from tune_runs.request.space_files import load_space, shipped_spaces, space_schema
from tune_runs.space.model import SearchSpace
from tune_runs.space.run_configs import control_config, enqueued_points, run_settings, suggested_config
from tune_runs.stopping.rungs import early_stopping

FOLDER = Path(__file__).parents[1] / "search_spaces"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def test_shipped_spaces_equal_the_folder() -> None:
    assert list(shipped_spaces()) == NAMES
    assert {"cifar10", "cifar100", "fashion_mnist", "fashion_mnist_small", "quickstart"} <= set(NAMES)
    assert {"noisy_cifar10", "noisy_cifar100", "clothing1m"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_shipped_space_loads(name: str) -> None:
    space = load_space(name)
    numbers = preview_of(space, [(8, 2)])
    assert space.name == name
    assert numbers.rungs, "early stopping has something to stop"
    assert numbers.concurrent > 0
    assert len(numbers.points.inside) == len(space.enqueue), "the authors' settings are inside"
    for scenario in space.scenario_list:
        assert control_config(space, scenario).attention is None


@pytest.mark.parametrize("name", NAMES)
def test_shipped_space_points_an_editor_at_the_schema(name: str) -> None:
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == "# yaml-language-server: $schema=space.schema.json"
    assert lines[1] == "#"
    assert lines[2].startswith("# "), "it says what it is for"


@pytest.mark.parametrize("name", NAMES)
def test_shipped_space_is_valid_by_the_schema(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator(space_schema()).validate(read_yaml(FOLDER / f"{name}.yaml"))


def test_schema_refuses_invalid_spaces_too() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(space_schema())
    validator = jsonschema.Draft202012Validator(space_schema())
    space = read_yaml(FOLDER / "quickstart.yaml")
    refused: tuple[dict[str, Any], ...] = (
        {"search": {**space["search"], "lamb": {"low": 1, "high": 2}}},
        {"base": {"epoch": 3}},
        {"scenarios": [{"epochs": 3}]},
        {"num_trials": 0},
        {"metric": "accuracy"},
        {"name": "../x"},
        {"time_budget": "soon"},
    )
    accepted: tuple[dict[str, Any], ...] = (
        {"base": {}},
        {"time_budget": "30m"},
        {"scenarios": [{"data": {"name": "cifar10"}}]},
    )
    for changes in refused:
        assert not validator.is_valid({**space, **changes}), changes
    for changes in accepted:
        assert validator.is_valid({**space, **changes}), changes


@pytest.mark.skipif(
    tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 10), reason="older pydantic words the same schema otherwise"
)
def test_shipped_schema_is_the_current_one() -> None:
    """To update it: absgd-tune --schema > search_spaces/space.schema.json."""
    assert json.loads((FOLDER / "space.schema.json").read_text()) == space_schema()


def test_schema_describes_every_field() -> None:
    schema = space_schema()
    assert all("description" in field for field in schema["properties"].values())
    parameter = schema["properties"]["search"]["properties"]
    assert parameter["lam"]["description"].startswith("lambda, non-zero")
    assert parameter["optimizer.lr"]["description"] == "Base learning rate."


@pytest.mark.parametrize(
    ("name", "batch_size", "dropout", "first"),
    [
        ("cifar10", 100, 0.2, {"lam": 5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 160}),
        ("cifar100", 128, 0.0, {"lam": 3.0, "gamma": 0.45, "ab_alpha": 0.3, "switch_epoch": 160}),
    ],
)
def test_cifar_spaces_hold_the_recipe(name: str, batch_size: int, dropout: float, first: dict[str, float]) -> None:
    space = load_space(name)
    amounts = ("0.1", "0.02", "0.01")
    names = [f"{name}-{kind}-{ratio}" for kind in ("exp", "step") for ratio in amounts]
    assert [scenario.name for scenario in space.scenario_list] == names
    control = control_config(space, space.scenario_list[0])
    assert (control.model.name, control.model.dropout) == ("resnet32", dropout)
    assert (control.epochs, control.batch_size, control.data.download) == (200, batch_size, True)
    assert (control.optimizer.lr, control.optimizer.momentum, control.optimizer.weight_decay) == (0.1, 0.9, 2e-4)
    schedule = control.schedule
    assert (schedule.warmup_epochs, schedule.milestones, schedule.factor) == (5, (159,), 0.01)
    assert space.base["class_balance"] == {"type": "reweight", "beta": 0.9999, "from_epoch": "switch"}
    plain = {"optimizer.weight_decay": 2e-4}
    assert enqueued_points(space).inside[0] == {**first, **plain}
    assert space.controls.tuned
    assert _rungs(space) == ((4, 8, 16, 32), (184, 188, 196))


@pytest.mark.parametrize("name", ["noisy_cifar10", "noisy_cifar100", "clothing1m"])
def test_noisy_spaces_draw_a_negative_lam_apart_from_its_sign(name: str) -> None:
    space = load_space(name)
    lam = space.search["lam"]
    assert (lam.sign, lam.log, lam.magnitudes[0] > 0) == ((-1,), True, True)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for scenario in space.scenario_list:
        trial = study.ask()
        attention = suggested_config(space, scenario, trial).attention
        assert attention is not None
        assert attention.lam == -trial.params["lam_magnitude"]
        assert attention.add_uniform


@pytest.mark.parametrize("name", ["noisy_cifar10", "noisy_cifar100", "clothing1m"])
def test_enqueued_points_of_noisy_spaces_are_complete_runs(name: str) -> None:
    space = load_space(name)
    for point in enqueued_points(space).inside:
        assert set(point) == set(space.search), "nothing is left for the sampler to fill in"
        for scenario in space.scenario_list:
            config = RunConfig.from_dict(run_settings(space, scenario, point))
            assert not config.unused_settings()


def test_noisy_cifar10_holds_the_recipe() -> None:
    space = load_space("noisy_cifar10")
    names = ["cifar10-symmetric-0.2", "cifar10-symmetric-0.4", "cifar10-cifar10_pairs-0.4"]
    assert [scenario.name for scenario in space.scenario_list] == names
    control = control_config(space, space.scenario_list[0])
    assert (control.model.name, control.loss.name, control.epochs, control.batch_size) == ("cnn8", "sce", 120, 128)
    assert (control.data.mean, control.data.std) == ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    assert (control.schedule.milestones, control.schedule.factor) == ((40, 80), 0.1)
    optimizer = control.optimizer
    assert (optimizer.weight_decay, optimizer.fc1_weight_decay, optimizer.grad_clip) == (5e-3, 0.01, 5)
    assert (control.loss.sce_beta, control.noise.validation) == (2, "noisy")
    shared = {"gamma": 0.9, "ab_alpha": 0.5, "switch_epoch": 80}
    symmetric = {"lam": -0.5, "optimizer.lr": 0.01, "loss.sce_alpha": 0.1, "loss.class_tau": 0, **shared}
    pairs = {"lam": -2.0, "optimizer.lr": 0.001, "loss.sce_alpha": 6, "loss.class_tau": 1, **shared}
    assert enqueued_points(space).inside == (symmetric, pairs)
    assert _rungs(space) == ((2, 4, 8, 16), (92, 94, 98, 106))


def test_noisy_cifar100_holds_the_recipe() -> None:
    space = load_space("noisy_cifar100")
    kinds = [(scenario.settings["noise.type"], scenario.settings["noise.rate"]) for scenario in space.scenario_list]
    rotations = [("cifar100_superclasses", 0.4), ("cifar100_blocks", 0.4)]
    assert kinds == [("symmetric", 0.2), ("symmetric", 0.4), *rotations]
    control = control_config(space, space.scenario_list[0])
    assert (control.model.name, control.augmentation.rotation_deg) == ("resnet34_cifar", 20)
    assert (control.loss.name, control.loss.sce_alpha, control.loss.sce_beta) == ("sce", 2, 0)
    assert (control.optimizer.lr, control.optimizer.weight_decay, control.optimizer.grad_clip) == (0.01, 1e-2, 5)
    assert (control.schedule.milestones, control.epochs, control.batch_size) == ((40, 80), 120, 128)
    point = {"lam": -5.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 80, "loss.class_tau": 1}
    assert enqueued_points(space).inside == (point,)


def test_clothing1m_tries_the_recipes_first() -> None:
    space = load_space("clothing1m")
    (scenario,) = space.scenario_list
    elsewhere = {"device": load_recipe("clothing1m_abce").device.model_dump()}
    files = {"data.root": "data/clothing1m", "model.weights": "resnet50-0676ba61.pth"}
    absolute = {key: str(Path(path).absolute()) for key, path in files.items()}
    for point in enqueued_points(space).inside:
        recipe = load_recipe(f"clothing1m_{point['loss.name']}").with_values(absolute)
        drawn = RunConfig.from_dict({**run_settings(space, scenario, point), **elsewhere})
        same_size = {"data.side": 224, "augmentation.flip": True}  # what the data set's own are, said in the recipe
        assert drawn.with_values(same_size) == recipe
    assert _rungs(space) == ((2, 4), (8,))


def _rungs(space: SearchSpace) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ages, then epochs done."""
    stopping = early_stopping(space)
    return stopping.rungs, stopping.final_rungs
