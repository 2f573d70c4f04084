"""Settings of RunConfig by dotted key."""

from __future__ import annotations

from typing import Any

import pytest

from absgd.config import RunConfig, merge_dotted, setting_keys
from absgd.config.dotted_keys import is_given, is_whole, setting_value


def test_setting_keys_cover_every_leaf_of_a_whole_config() -> None:
    def leaves(node: dict[str, Any], prefix: str = "") -> list[str]:
        found: list[str] = []
        for key, value in node.items():
            found += leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
        return found

    attention = {"lam": 5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 10}
    config = RunConfig.from_dict({"data": {"name": "digits"}, "attention": attention})
    assert leaves(config.to_dict()) == list(setting_keys())


def test_merge_dotted_makes_missing_sections() -> None:
    assert merge_dotted({}, {"attention.lam": 3.0}, "f") == {"attention": {"lam": 3.0}}


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
def test_setting_value_is_the_given_one_or_the_default(settings: dict[str, Any], key: str, value: object) -> None:
    assert setting_value(settings, key) == value


def test_a_setting_given_as_null_is_given() -> None:
    assert is_given({"data": {"root": None}}, "data.root")
    assert not is_given({"data": {}}, "data.root")


@pytest.mark.parametrize(
    ("key", "whole"),
    [
        ("attention.lam", False),
        ("attention.gamma", False),
        ("attention.switch_epoch", True),
        ("batch_size", True),
        ("optimizer.lr", False),
        ("attention.add_uniform", False),
        ("loss.tce_prune_from", True),
        ("loss.class_tau", False),
    ],
)
def test_whole_settings(key: str, whole: bool) -> None:
    assert is_whole(key) == whole
