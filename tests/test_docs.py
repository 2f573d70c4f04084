"""The documentation names every setting, and no setting that does not exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from absgd.config import RunConfig, setting_keys
from absgd.recipes import shipped_recipes
from absgd.sections import DatasetName, LossName, ModelName, NoiseType
from tune_runs.space_files import shipped_spaces

DOCS = Path(__file__).parents[1] / "docs"
CODE = re.compile(r"`([^`\n]+)`")


def words(page: str) -> set[str]:
    """What stands in backticks."""
    return set(CODE.findall((DOCS / page).read_text()))


def section_words(section: str) -> set[str]:
    """What stands in backticks in the rows of a section of the settings table."""
    found: set[str] = set()
    current = ""
    for line in (DOCS / "search-spaces.md").read_text().split("## Settings of a run")[1].splitlines():
        cells = line.split("|")
        if len(cells) > 2:
            current = cells[1].strip().strip("`") or current
            found |= set(CODE.findall(cells[2])) if current == section else set()
    return found


@pytest.mark.parametrize("key", setting_keys())
def test_settings_table_has_every_setting(key: str) -> None:
    section, _, leaf = key.rpartition(".")
    assert leaf in (section_words(section) if section else words("search-spaces.md"))


@pytest.mark.parametrize("names", [DatasetName, LossName, ModelName, NoiseType])
def test_settings_page_has_every_name(names: object) -> None:
    assert set(get_args(names)) <= words("search-spaces.md")


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_dotted_settings_on_a_page_exist(page: str) -> None:
    sections = {key.split(".")[0] for key in setting_keys() if "." in key}
    named = {word.split(":")[0].split("=")[0] for word in words(page)}
    dotted = {word for word in named if re.fullmatch(rf"({'|'.join(sections)})\.[a-z0-9_]+", word)}
    assert dotted <= set(setting_keys())


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_links_between_pages_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (DOCS / page).read_text())
    assert all((DOCS / link).exists() for link in links)


def test_page_for_the_authors_users_has_every_recipe_and_space_of_theirs() -> None:
    text = (DOCS / "from-the-authors-code.md").read_text()
    assert set(re.findall(r"--recipe (\S+?)[` \n]", text)) == set(shipped_recipes())
    assert {"noisy_cifar10", "noisy_cifar100", "clothing1m"} <= set(shipped_spaces())
    assert "absgd-tune --space noisy_cifar10" in text


FLAGS = [
    "--dataset",
    "--model",
    "--epochs",
    "--batch_size",
    "--loss_type",
    "--print_freq",
    "--lamda",
    "--init_lamda",
    "--imb_factor",
    "--seed",
    "--CB_shots",
    "--lr",
    "--drogamma",
    "--abAlpha",
    "--imb_type",
    "--train_rule",
    "--DP",
    "--lamda_shots",
    "--dataset_type",
    "--epoch",
    "--droGamma",
    "--l2_reg",
    "--alpha",
    "--beta",
    "--nr",
    "--loss",
    "--class_tau",
    "--version",
]
"""The flags of the README's command lines, and those that decide their defaults."""


@pytest.mark.parametrize("flag", FLAGS)
def test_page_for_the_authors_users_maps_every_flag(flag: str) -> None:
    rows = [line for line in (DOCS / "from-the-authors-code.md").read_text().splitlines() if line.startswith("| `--")]
    assert any(re.search(rf"{flag}\b(?!_)", row.split("|")[1]) for row in rows)


def test_class_balance_examples_are_configurations() -> None:
    text = (DOCS / "from-the-authors-code.md").read_text()
    for example in re.findall(r"`((?:class_balance|schedule): \{[^`]+\})`", text):
        base = {"data": {"name": "digits"}, "loss": {"name": "ce"}}
        RunConfig.from_dict({**base, **yaml.safe_load(example)})
