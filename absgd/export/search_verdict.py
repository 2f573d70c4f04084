"""The verdict of the search that chose a run's settings, kept in the run's folder for its model card."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from absgd import records
from absgd.config import RunConfig
from absgd.records import Verdict
from absgd.terminal import warn

_FREE = ("seeds", "device")
"""Sections in which a run may differ from the configuration that a verdict is about."""


def keep_verdict(folder: Path, config: RunConfig, config_file: Path | None) -> None:
    """Write the verdict on a configuration of `best/` into the folder of a run with it; a changed one has none.

    Raises:
        OSError: if it cannot be written.
    """
    verdict = _verdict_on(config, config_file) if config_file is not None else None
    if verdict is not None:
        records.write_verdicts(folder / records.VERDICTS_FILE, [verdict])


def kept_verdict(folder: Path) -> Verdict | None:
    """Return the verdict that `keep_verdict` wrote."""
    return next(iter(_verdicts_in(folder)), None)


def _verdict_on(config: RunConfig, config_file: Path) -> Verdict | None:
    search, name = config_file.absolute().parent.parent, config_file.stem
    if records.best_file(search, name) != config_file.absolute():
        return None
    scenario = name.removesuffix(records.ABSGD_SUFFIX)
    verdict = next((one for one in _verdicts_in(search) if one.scenario in (name, scenario)), None)
    if verdict is None:
        return None
    if _compared(RunConfig.from_yaml(config_file)) != _compared(config):
        warn(f"the model card will say nothing of the verdict on {config_file}: --set changed the configuration")
        return None
    own = records.best_absgd_file(search, name)
    if own.exists() and _compared(RunConfig.from_yaml(own)) != _compared(config):
        about = f"This run has the settings of a tuned control, the best of all; the verdict is about {own.name}."
        return dataclasses.replace(verdict, details=(about, *verdict.details))
    return verdict


def _verdicts_in(folder: Path) -> list[Verdict]:
    """Return the verdicts in a folder; none where they cannot be read, since the card does without."""
    try:
        return records.read_verdicts(folder / records.VERDICTS_FILE)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        warn(f"cannot read {folder / records.VERDICTS_FILE}: {error}")
        return []


def _compared(config: RunConfig) -> dict[str, Any]:
    return {key: value for key, value in config.decisive().items() if key not in _FREE}
