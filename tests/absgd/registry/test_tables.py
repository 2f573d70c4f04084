"""Entries of the tables are complete: builders exist, settings have a reader, each entry has its contract fixture."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from typing import get_args

import pytest

from absgd.config import setting_keys
from absgd.config.sections import LossConfig, NoiseType
from absgd.registry.dataset_table import DATASETS
from absgd.registry.loss_table import LOSSES, base_criterion, is_attentive, loss_names
from absgd.registry.model_table import MODELS
from tests.contracts.datasets import DatasetContract
from tests.contracts.losses import LossContract

GENERAL_LOSS_SETTINGS = {"name", "class_tau", "posthoc_tau", "options"}
BUILDERS = {
    **{f"loss {name}": spec.builder for name, spec in LOSSES.items()},
    **{f"model {name}": spec.builder for name, spec in MODELS.items()},
    **{f"data set {name}": spec.reader for name, spec in DATASETS.items()},
}


@pytest.mark.parametrize("entry", BUILDERS)
def test_builder_of_every_entry_exists(entry: str) -> None:
    assert callable(pkgutil.resolve_name(BUILDERS[entry]))


def test_every_loss_setting_is_read_by_a_loss_or_by_all() -> None:
    read = {setting for spec in LOSSES.values() for setting in spec.settings}
    assert read | GENERAL_LOSS_SETTINGS == set(LossConfig.model_fields)
    assert not read & GENERAL_LOSS_SETTINGS


def test_settings_of_models_and_noise_of_data_sets_exist() -> None:
    assert {key for spec in MODELS.values() for key in spec.settings} <= set(setting_keys())
    assert {noise for spec in DATASETS.values() for noise in spec.own_noise} <= set(get_args(NoiseType))


def test_names_of_losses_are_distinguished() -> None:
    assert len(set(loss_names())) == len(loss_names())
    for name in loss_names():
        assert base_criterion(name) in LOSSES
        assert is_attentive(name) == (name not in LOSSES)


def test_titles_are_different() -> None:
    assert len({spec.title for spec in LOSSES.values()}) == len(LOSSES)


def covered(contract: type, package: str) -> set[str]:
    """Entries with a contract fixture in the test modules of a package."""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")

    def entries(parent: type) -> set[str]:
        own = {vars(parent)["entry"]} if "entry" in vars(parent) else set()
        return own.union(*map(entries, parent.__subclasses__()))

    return entries(contract)


def test_every_loss_has_a_contract_fixture() -> None:
    assert covered(LossContract, "tests.absgd.losses") == set(LOSSES)


def test_every_data_set_has_a_contract_fixture() -> None:
    assert covered(DatasetContract, "tests.absgd.datasets") == set(DATASETS)


def test_tables_are_read_without_torch_or_pydantic() -> None:
    code = (
        "import sys, absgd.registry.loss_table, absgd.registry.model_table, absgd.registry.dataset_table;"
        "print([name for name in ('torch', 'pydantic', 'numpy') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
