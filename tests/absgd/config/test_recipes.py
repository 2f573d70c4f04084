"""The shipped recipes: the settings of the authors' command lines; tests/system trains them on small files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from absgd.cli import app
from absgd.config.recipes import load_recipe, shipped_recipes
from absgd.errors import UserError
from tests.support.small_files import write_clothing1m

FOLDER = Path(__file__).parents[3] / "search_spaces" / "recipes"
CLOTHING = ("clothing1m_absce", "clothing1m_abce", "clothing1m_abtce")
NAMES = ("cifar10_exp_0.1", "cifar100_step_0.01", *CLOTHING)


def sections(name: str) -> dict[str, Any]:
    return load_recipe(name).to_dict()


def test_recipes_equal_the_readme() -> None:
    assert set(shipped_recipes()) == set(NAMES) == {path.stem for path in FOLDER.iterdir()}


@pytest.mark.parametrize("name", NAMES)
def test_recipe_uses_every_setting_it_gives(name: str) -> None:
    assert not load_recipe(name).unused_settings()


@pytest.mark.parametrize(
    ("name", "batch_size", "dropout", "attention"),
    [
        ("cifar10_exp_0.1", 100, 0.2, {"lam": 5.0, "gamma": 0.7, "ab_alpha": 0.5}),
        ("cifar100_step_0.01", 128, 0.0, {"lam": 3.0, "gamma": 0.45, "ab_alpha": 0.3}),
    ],
)
def test_cifar_recipe_holds_the_command_line(
    name: str, batch_size: int, dropout: float, attention: dict[str, float]
) -> None:
    config = sections(name)
    data, kind, ratio = name.split("_")
    assert (config["data"]["name"], config["imbalance"]) == (data, {"type": kind, "ratio": float(ratio)})
    assert (config["model"]["name"], config["model"]["dropout"]) == ("resnet32", dropout)
    assert config["loss"]["name"] == "abce"
    assert config["attention"] == {**attention, "switch_epoch": 160, "add_uniform": False}
    assert config["class_balance"] == {"type": "reweight", "beta": 0.9999, "from_epoch": 160}
    optimizer = {"lr": 0.1, "momentum": 0.9, "weight_decay": 2e-4, "fc1_weight_decay": None, "grad_clip": None}
    optimizer["sam_rho"] = 0.0
    assert config["optimizer"] == optimizer
    assert config["schedule"] == {"type": "step", "warmup_epochs": 5, "milestones": [159], "factor": 0.01}
    assert (config["epochs"], config["batch_size"], config["seeds"]) == (200, batch_size, {"data": 0, "train": 0})
    assert config["noise"]["type"] == "none"


@pytest.mark.parametrize("name", CLOTHING)
def test_clothing1m_recipe_holds_the_command_line(name: str) -> None:
    config = sections(name)
    data = config["data"]
    assert (data["name"], data["validation"], data["side"]) == ("clothing1m", "own", 224)
    assert (data["mean"], data["std"]) == ([0.6959, 0.6537, 0.6371], [0.3113, 0.3192, 0.3214])
    assert config["noise"] == {"type": "none", "rate": 0.0, "validation": "noisy"}, "0.4 is in the version name only"
    assert (config["model"]["name"], config["model"]["weights"]) == ("resnet50", "resnet50-0676ba61.pth")
    assert config["loss"]["name"] == name.removeprefix("clothing1m_")
    assert (config["loss"]["sce_alpha"], config["loss"]["sce_beta"], config["loss"]["class_tau"]) == (0.1, 1.0, 0.0)
    attention = {"lam": -5.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 5, "add_uniform": True}
    assert config["attention"] == attention
    optimizer = config["optimizer"]
    assert (optimizer["lr"], optimizer["momentum"], optimizer["weight_decay"]) == (0.005, 0.9, 1e-3)
    assert (config["schedule"]["milestones"], config["schedule"]["factor"]) == ([5], 0.1)
    assert (config["epochs"], config["batch_size"]) == (10, 128)


@pytest.mark.parametrize("name", CLOTHING)
def test_clothing1m_recipe_without_its_weights_names_the_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clothing1m(tmp_path / "data", per_class=2)
    monkeypatch.chdir(tmp_path)
    words = ["--set=data.root=data", "--set=data.workers=0", "--set=data.side=32", "--device=cpu"]
    result = CliRunner().invoke(app, ["--recipe", name, *words])
    assert result.exit_code == 2
    expected = f"cannot read the weights: No such file or directory ({tmp_path}/resnet50-0676ba61.pth: model.weights)"
    assert expected in result.stderr
    assert not Path("runs").exists()


def test_unknown_recipe_lists_them() -> None:
    with pytest.raises(UserError) as error:
        load_recipe("cifar10_exp")
    message = str(error.value)
    assert all(f"`{name}`" in message for name in NAMES)
    assert message.endswith("got 'cifar10_exp'; did you mean `cifar10_exp_0.1`? (--recipe)")


def test_recipes_are_read_without_torch() -> None:
    code = "import sys, absgd.config.recipes as r; r.load_recipe('cifar10_exp_0.1'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
