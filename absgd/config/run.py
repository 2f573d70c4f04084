"""RunConfig: everything that decides one training run, as frozen data that is read from and written to YAML.

Epochs are counted from 0 everywhere. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import model_validator

from absgd.config.dotted_keys import merge_dotted
from absgd.config.needed_plugins import check_recorded_plugins, needed_plugins
from absgd.config.part_options import OPTIONS
from absgd.config.rules import broken_run_rules, unused_run_settings
from absgd.config.sections import ClassBalanceConfig, RunSections
from absgd.errors import broken_rule, validated
from absgd.paths import PathLike
from absgd.registry.plugin_table import PART_KINDS
from absgd.yaml_text import dump_yaml, read_yaml


class RunConfig(RunSections):
    """Everything that decides one training run."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_plugins(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        check_recorded_plugins(data.get("plugins"))
        return {**data, "plugins": needed_plugins(data)}

    @model_validator(mode="after")
    def _check_rules(self) -> RunConfig:
        for key, message in broken_run_rules(self):
            raise broken_rule(key, message)
        return self

    @classmethod
    def from_dict(cls, data: object, source: str = "configuration") -> RunConfig:
        """Build a config from plain mappings and scalars.

        Raises:
            UserError: naming `source`, the key, the rule and the value.
        """
        return validated(cls, data, source)

    @classmethod
    def from_yaml(cls, path: PathLike) -> RunConfig:
        """Read a config from a YAML file.

        Raises:
            UserError: if the file cannot be read or a rule is broken.
        """
        return cls.from_dict(read_yaml(Path(path)), str(path))

    def to_dict(self) -> dict[str, Any]:
        """Return plain mappings, lists and scalars, with every field present."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """Return YAML text that `from_yaml` reads back to an equal config."""
        return dump_yaml(self.to_dict())

    def with_values(self, values: Mapping[str, Any], source: str = "configuration") -> RunConfig:
        """Return a copy with the values at dotted keys replaced, checked as a whole.

        >>> RunConfig.from_dict({"data": {"name": "digits"}, "loss": {"name": "ce"}}).with_values({"epochs": 3}).epochs
        3

        Raises:
            UserError: if a key does not exist or a rule is broken.
        """
        return self.from_dict(merge_dotted(self.to_dict(), values, source), source)

    def unused_settings(self) -> list[str]:
        """Return a sentence for each setting that is given but does not act in this run."""
        return list(unused_run_settings(self))

    @property
    def class_balance_epoch(self) -> int:
        """First epoch at which class balance acts, with `switch` resolved."""
        if self.class_balance.from_epoch != "switch":
            return self.class_balance.from_epoch
        assert self.attention is not None, "a rule refuses `switch` without attention"
        return self.attention.switch_epoch

    def resolved(self) -> RunConfig:
        """Return the same run with `auto` replaced by what it stands for: equal runs give equal configs.

        >>> RunConfig.from_dict({"data": {"name": "digits"}, "loss": {"name": "ldam"}}).resolved().model.head
        'cosine'
        """
        return self.model_copy(update={"model": self.model.model_copy(update={"head": self.head})})

    def stage_one(self) -> RunConfig:
        """Return the run that is stage one to its last epoch: plain training on the base criterion, the plain control.

        It lacks all that acts in stage two alone (lam, gamma, ab_alpha, switch_epoch), or after the last epoch alone
        (the post-hoc adjustment).

        Source: arXiv 2012.06951, the two-stage schedule.
        """
        loss = {**self.to_dict()["loss"], "name": self.loss.base, "posthoc_tau": 0.0}
        plain: dict[str, Any] = {"loss": loss, "attention": None}
        if self.class_balance.from_epoch == "switch":
            plain["class_balance"] = ClassBalanceConfig().model_dump()
        return RunConfig.from_dict({**self.to_dict(), **plain})

    def decisive(self) -> dict[str, Any]:
        """Return the settings that decide the numbers of the run.

        The data's title, its place and the way it is read do not, nor does `data.on_duplicate`, which decides whether
        there is a run, not its images. A setting that earlier versions lacked is left out where it has their behaviour,
        so that their hashes stay.
        """
        settings = _without_newer(self.resolved().to_dict())
        for name in ("title", "root", "download", "workers", "on_duplicate"):
            del settings["data"][name]
        if settings["data"]["resize"] == "crop":
            del settings["data"]["resize"]
        return settings

    def digest(self) -> str:
        """Return a hash (8 hex digits) of all settings, for the ids of runs that a config alone decides."""
        return _hash(_without_newer(self.resolved().to_dict()))[:8]

    def stage_one_key(self) -> str:
        """Return a hash (16 hex digits) of the decisive settings of `stage_one`."""
        return _hash(self.stage_one().decisive())[:16]


NEWER_SETTINGS: Mapping[str, float] = {
    "loss.posthoc_tau": 0.0,
    "loss.la_tau": 1.0,
    "loss.vs_gamma": 0.3,
    "loss.vs_tau": 1.0,
    "loss.term_tilt": 1.0,
    "optimizer.sam_rho": 0.0,
}
"""Settings that earlier versions lacked -> the value with their behaviour; hashes leave a setting of this value out."""


def _hash(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _without_newer(settings: dict[str, Any]) -> dict[str, Any]:
    """Remove newer settings that have the behaviour of earlier versions, and empty options and plugins."""
    for key, value in NEWER_SETTINGS.items():
        section, leaf = key.split(".")
        if settings[section][leaf] == value:
            del settings[section][leaf]
    for kind in PART_KINDS:
        if not settings[kind][OPTIONS]:
            del settings[kind][OPTIONS]
    if not settings["plugins"]:
        del settings["plugins"]
    return settings
