"""Complete runs that come with the package: the command lines of the ABSGD authors' README, by name.

They are YAML files in search_spaces/recipes. Nothing here imports torch.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from absgd.config import RunConfig
from absgd.errors import UserError, nearest

FOLDER = "recipes"


def shipped_recipes() -> dict[str, Path]:
    """Return name -> file of each recipe, sorted by name."""
    folders = (entry for entry in resources.files("search_spaces").iterdir() if entry.name == FOLDER)
    files = (Path(str(file)) for folder in folders for file in folder.iterdir())
    return {path.stem: path for path in sorted(files) if path.suffix == ".yaml"}


def load_recipe(name: str) -> RunConfig:
    """Return the run of a recipe.

    >>> load_recipe("cifar10_exp_0.1").attention.lam
    5.0

    Raises:
        UserError: if there is no such recipe; the message lists the recipes.
    """
    recipes = shipped_recipes()
    if name not in recipes:
        listed = ", ".join(f"`{recipe}`" for recipe in recipes)
        raise UserError(f"expected one of the recipes {listed}, got {name!r}{nearest(name, recipes)} (--recipe)")
    return RunConfig.from_yaml(recipes[name])
