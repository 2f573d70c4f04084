"""The documentation names every setting, and no setting that does not exist."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import get_args

import pytest
import yaml

from absgd.config import RunConfig, setting_keys
from absgd.config.assignments import parse_settings
from absgd.config.recipes import shipped_recipes
from absgd.config.sections import NoiseType
from absgd.registry.dataset_table import DATASETS
from absgd.registry.loss_table import loss_names
from absgd.registry.model_table import MODELS
from tests.support import run_folders
from tune_runs.request.space_files import load_space, shipped_spaces
from tune_runs.space.run_configs import enqueued_points, run_settings

DOCS = Path(__file__).parents[1] / "docs"
CODE = re.compile(r"`([^`\n]+)`")


def words(page: str) -> set[str]:
    """Return the words in backticks."""
    return set(CODE.findall((DOCS / page).read_text()))


def section_words(section: str) -> set[str]:
    """Return the words in backticks in the rows of a section of the settings table."""
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


@pytest.mark.parametrize("names", [DATASETS, loss_names(), MODELS, get_args(NoiseType)], ids=min)
def test_settings_page_has_every_name(names: Collection[str]) -> None:
    assert set(names) <= words("search-spaces.md")


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_dotted_settings_on_a_page_exist(page: str) -> None:
    sections = {key.split(".")[0] for key in setting_keys() if "." in key}
    named = {word.split(":")[0].split("=")[0] for word in words(page)}
    dotted = {word for word in named if re.fullmatch(rf"({'|'.join(sections)})\.[a-z0-9_]+", word)}
    assert dotted <= {*setting_keys(), "data.options", "model.options", "loss.options"}


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_links_between_pages_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (DOCS / page).read_text())
    assert all((DOCS / link).exists() for link in links)


def test_page_for_the_authors_users_has_every_recipe_and_space_of_theirs() -> None:
    text = (DOCS / "from-the-authors-code.md").read_text()
    assert set(re.findall(r"--recipe (\S+?)[` \n]", text)) == set(shipped_recipes())
    assert {"noisy_cifar10", "noisy_cifar100", "clothing1m"} <= set(shipped_spaces())
    assert "absgd-tune --space noisy_cifar10" in text


FLAGS = {
    "imbalance": """
        results_dir save dataset model loss_type imb_type imb_factor train_rule rand_number exp_str workers epochs
        start_epochs batch_size lr momentum wd print_freq resume evaluate pretrained topK seed gpus root_log
        store_name root_model lamda neb_tau init_lamda start_time repeats alg gamma drogamma alpha RENORM
        lamda_shots CB_shots beta num_classes cls_num_list frozen_aside_fc not_frozen_last_block robAlpha abAlpha
        isTau use_BN ngroups option train_defer DP class_tau frozen_start stage type lr_schedule u res_name works
    """,
    "noisy-label": """
        lr l2_reg grad_bound train_log_every resume batch_size data_path checkpoint_path data_nums_workers epoch nr
        loss alpha beta version dataset_type asym seed abAlpha robAlpha lamda init_lamda droGamma noisy_index
        class_tau u lamda_shots
    """,
}
"""Every flag of the authors' two trainers, with `abAlpha` of their README and `robAlpha` of older scripts."""


def trainer_flags(trainer: str) -> list[str]:
    """Return the left column of the table of a trainer."""
    section = (DOCS / "from-the-authors-code.md").read_text().split(f"## Flags of the {trainer} trainer")[1]
    rows = [line.split("|")[1] for line in section.split("\n## ")[0].splitlines() if line.startswith("|")]
    return [flag for row in rows for flag in re.findall(r"`--(\w+)", row)]


@pytest.mark.parametrize("trainer", FLAGS)
def test_page_for_the_authors_users_maps_every_flag_and_no_other(trainer: str) -> None:
    assert set(trainer_flags(trainer)) == set(FLAGS[trainer].split())


def test_page_for_the_authors_users_maps_every_loss() -> None:
    text = (DOCS / "from-the-authors-code.md").read_text()
    left = "".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `--loss"))
    imbalance = {"focal", "ldam", "robldam", "robfocal", "robce", "ce", "nebce", "abce", "abfocal", "abldam"}
    noisy = {"CE", "SCE", "TCE", "ABCE", "ABSCE", "ABTCE", "f_divergence"}
    assert imbalance | noisy <= set(re.findall(r"\w+", left))


def test_class_balance_examples_are_configurations() -> None:
    text = (DOCS / "from-the-authors-code.md").read_text()
    for example in re.findall(r"`((?:class_balance|schedule): \{[^`]+\})`", text):
        base = {"data": {"name": "digits"}, "loss": {"name": "ce"}}
        RunConfig.from_dict({**base, **yaml.safe_load(example)})


ROOT = DOCS.parent


def room_rows(table: str) -> list[list[str]]:
    """Room, sentence and number of modules of each row; lines change with every commit."""
    return [[cell.strip() for cell in line.split("|")[1:4]] for line in table.splitlines() if line.startswith("| `")]


def test_table_of_rooms_is_up_to_date() -> None:
    printed = subprocess.run([sys.executable, ROOT / "scripts/rooms.py"], capture_output=True, text=True, check=True)
    written = (ROOT / "CONTRIBUTING.md").read_text().split("<!-- rooms -->")[1].split("<!-- /rooms -->")[0]
    assert room_rows(written) == room_rows(printed.stdout), "run scripts/rooms.py --write"


@pytest.mark.parametrize("page", ["README.md", "SECURITY.md"])
def test_links_of_the_front_pages_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())
    assert links
    assert all((ROOT / link).exists() for link in links)


def test_modules_that_the_guide_names_exist() -> None:
    places = re.findall(
        r"`((?:absgd|tune_runs|analysis|tests|benchmarks)/[\w/.]+)`", (ROOT / "CONTRIBUTING.md").read_text()
    )
    assert places
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_citation_has_the_version_of_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


def test_extra_dev_installs_all_extras_so_that_no_test_is_skipped() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names, found = ["dev"], set[str]()
    while names:
        found.add(name := names.pop())
        names += [
            one for word in extras[name] for one in re.findall(r"^absgd-tune\[(.*)\]$", word) for one in one.split(",")
        ]
    assert found == set(extras)


def test_pandas_lines_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folders.confirmed(tmp_path / "runs" / "quickstart")
    monkeypatch.chdir(tmp_path)
    section = (DOCS.parent / "README.md").read_text().split("## Reading results in pandas")[1].split("\n## ")[0]
    exec("\n".join(line[4:] for line in section.splitlines() if line.startswith("    ")), {})
    assert "plotly" in (tmp_path / "curves.html").read_text(encoding="utf-8")


def test_settings_that_the_readme_changes_fit_the_best_configuration_of_the_quickstart() -> None:
    space = load_space("quickstart")
    best = RunConfig.from_dict(run_settings(space, space.scenario_list[0], enqueued_points(space).inside[0]))
    lines = (ROOT / "README.md").read_text().splitlines()
    words = [shlex.split(line, comments=True) for line in lines if "--config runs/quickstart/best" in line]
    given = [[value for option, value in itertools.pairwise(one) if option == "--set"] for one in words]
    assert any(given)
    for settings in given:
        best.with_values(parse_settings(settings))
