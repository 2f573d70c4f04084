"""Settings of RunConfig by name."""

from __future__ import annotations

from typing import Any

import pytest

from absgd.config.dotted_keys import is_given, is_whole, setting_value
from tune_runs.space.setting_names import searchable_names, setting_of


@pytest.mark.parametrize(
    ("settings", "key", "value"),
    [
        ({"epochs": 3}, "epochs", 3),
        ({"optimizer": {"lr": 0.3}}, "optimizer.lr", 0.3),
        ({"optimizer": {}}, "optimizer.lr", 0.1),
        ({"attention": None}, "attention.lam", None),
        ({}, "attention.lam", None),
        ({}, "data.name", None),
    ],
)
def test_setting_value_is_what_is_given_else_the_default(settings: dict[str, Any], key: str, value: object) -> None:
    assert setting_value(settings, key) == value


def test_a_setting_given_as_null_is_given() -> None:
    assert is_given({"data": {"root": None}}, "data.root")
    assert not is_given({"data": {}}, "data.root")


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("lam", False),
        ("gamma", False),
        ("switch_epoch", True),
        ("batch_size", True),
        ("optimizer.lr", False),
        ("add_uniform", False),
        ("loss.tce_prune_from", True),
        ("loss.class_tau", False),
    ],
)
def test_whole_settings(name: str, whole: bool) -> None:
    assert is_whole(setting_of(name)) == whole


def test_searchable_names_leave_out_what_a_scenario_or_the_machine_decides() -> None:
    sections = {name.split(".")[0] for name in searchable_names()}
    assert {"lam", "gamma", "ab_alpha", "switch_epoch", "add_uniform", "loss", "optimizer"} <= sections
    assert not sections & {"attention", "data", "imbalance", "noise", "seeds", "device", "epochs"}
