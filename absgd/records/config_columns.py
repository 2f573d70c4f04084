"""The columns of a trial row that hold its RunConfig: one for each setting, named and typed after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pyarrow as pa

from absgd.config import RunConfig, setting_keys
from absgd.config.dotted_keys import find_setting, setting_value
from absgd.config.locations import PATH_SETTINGS, Moves, moved
from absgd.config.part_options import OPTIONS, is_option
from absgd.config.run import NEWER_SETTINGS
from absgd.records.column_types import column_type
from absgd.records.layout import TRIALS_FILE
from absgd.registry.dataset_table import DATASETS
from absgd.registry.plugin_table import PART_KINDS

_NAMES = {
    "data.name": "dataset",
    "data.title": "data_title",
    "data.root": "data_root",
    "data.download": "data_download",
    "data.mean": "data_mean",
    "data.std": "data_std",
    "data.side": "data_side",
    "data.resize": "data_resize",
    "data.workers": "data_workers",
    "imbalance.type": "imbalance_type",
    "imbalance.ratio": "imbalance_ratio",
    "noise.type": "noise_type",
    "noise.rate": "noise_rate",
    "noise.validation": "noise_validation",
    "augmentation.pad": "augmentation_pad",
    "augmentation.flip": "augmentation_flip",
    "augmentation.rotation_deg": "augmentation_rotation_deg",
    "model.name": "model",
    "loss.name": "loss",
    "class_balance.type": "class_balance",
    "class_balance.beta": "class_balance_beta",
    "class_balance.from_epoch": "class_balance_from_epoch",
    "schedule.type": "schedule",
    "schedule.factor": "lr_factor",
    "seeds.data": "seed_data",
    "seeds.train": "seed_train",
    "device.type": "device",
}
"""Setting -> its column, where that is not called by the last word of the dotted key."""


def _config_columns() -> dict[str, tuple[str, pa.DataType]]:
    columns: dict[str, tuple[str, pa.DataType]] = {}
    for key in setting_keys():
        section, leaf = find_setting(key)
        name = _NAMES.get(key, leaf)
        assert name not in columns, f"`{key}` and `{columns[name][0]}` have the same column `{name}`"
        columns[name] = (key, column_type(section.model_fields[leaf].annotation))
    return columns | {f"{kind}_{OPTIONS}": (f"{kind}.{OPTIONS}", pa.string()) for kind in PART_KINDS}


CONFIG_COLUMNS = _config_columns()
"""Column of a trial row -> (setting of RunConfig, type); the options of a part are one JSON text."""
OPTION_COLUMNS = {f"{kind}_{OPTIONS}": f"{kind}.{OPTIONS}" for kind in PART_KINDS}
"""Column of options as JSON -> their section; null where there are none."""
_ADDED_LATER = {
    "data.title": None,
    "data.resize": "crop",
    "data.on_duplicate": "keep",
    "device.ranks": 1,
    "device.fast": False,
    **NEWER_SETTINGS,
}
"""Settings that earlier versions did not have -> the value with the behaviour of those; every new one must be added."""
ADDED_LATER: dict[str, Any] = {
    **{column: _ADDED_LATER[key] for column, (key, _) in CONFIG_COLUMNS.items() if key in _ADDED_LATER},
    **dict.fromkeys((*OPTION_COLUMNS, "plugins")),
}
"""Columns that tables of earlier versions lack -> the value that their runs had."""
COLUMN_OF = {key: column for column, (key, _) in CONFIG_COLUMNS.items()}
"""Setting of RunConfig -> its column."""


def config_columns(config: RunConfig) -> dict[str, Any]:
    """Return the columns of a trial row that hold its config, with `auto` replaced by what it stands for."""
    data = config.resolved().to_dict()
    row: dict[str, Any] = {}
    for column, (key, kind) in CONFIG_COLUMNS.items():
        value: Any = data
        for part in key.split("."):
            value = None if value is None else value[part]
        if column in OPTION_COLUMNS or column == "plugins":
            value = value or None
        if column in OPTION_COLUMNS and value is not None:
            value = json.dumps(value, sort_keys=True)
        row[column] = str(value) if kind == pa.string() and value is not None else value
    return row


def column_of(key: str) -> str:
    """Return the column of a setting; that of an option, such as `model.options.width`, is called like it."""
    return COLUMN_OF.get(key, key)


def column_value(row: Mapping[str, Any], column: str) -> Any:
    """Return the value of a column of a trial row, or of an option in it; None where the row's part has no such option.

    >>> column_value({"model_options": '{"width": 3}'}, "model.options.width")
    3
    """
    if not is_option(column):
        return row[column]
    kind, _, name = column.split(".", 2)
    return json.loads(row[f"{kind}_{OPTIONS}"] or "{}").get(name)


def option_type(column: str) -> pa.DataType:
    """Return the type of the values of an option that a loaded part declares."""
    model, leaf = find_setting(column)
    return column_type(model.model_fields[leaf].annotation)


def moved_row(row: Mapping[str, Any], moves: Moves) -> dict[str, Any]:
    """Return a trial row with the paths of its config where they are now."""
    paths = {COLUMN_OF[key]: row[COLUMN_OF[key]] for key in PATH_SETTINGS}
    return {**row, **{column: path and moved(path, moves) for column, path in paths.items()}}


def with_earlier_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an earlier version, completed by those that it lacked and that have another default now.

    Each gets the value with the behaviour of that version. Settings without effect on data in memory are left out.

    Args:
        settings: a partial or whole RunConfig, as plain mappings.
    """
    found = deepcopy(dict(settings))
    data = found.get("data")
    spec = DATASETS.get(str(data.get("name"))) if isinstance(data, dict) else None
    for key, value in _ADDED_LATER.items():
        section, leaf = key.split(".")
        is_unused = section == "data" and spec is not None and spec.in_memory
        inner = found.get(section)
        if isinstance(inner, dict) and leaf not in inner and not is_unused and value != setting_value({}, key):
            inner[leaf] = value
    return found


def config_of(row: Mapping[str, Any]) -> RunConfig:
    """Return the whole config of a trial row, as `RunConfig.resolved` gives it: the inverse of `config_columns`.

    A setting of `ADDED_LATER` that is None has the value of earlier versions.

    Raises:
        UserError: if settings are missing or invalid.
    """
    data: dict[str, Any] = {}
    for column, (key, _) in CONFIG_COLUMNS.items():
        *parents, leaf = key.split(".")
        node = data
        for parent in parents:
            node = node.setdefault(parent, {})
        if row[column] is not None or column not in ADDED_LATER:
            node[leaf] = json.loads(row[column]) if column in OPTION_COLUMNS else row[column]
    if data["attention"]["lam"] is None:
        data["attention"] = None
    from_epoch = data["class_balance"]["from_epoch"]
    if str(from_epoch).isdecimal():
        data["class_balance"]["from_epoch"] = int(from_epoch)
    return RunConfig.from_dict(with_earlier_defaults(data), TRIALS_FILE)
