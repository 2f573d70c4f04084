"""The commands that train a scenario's best configuration again, with the same numbers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from absgd.config import RunConfig
from absgd.errors import UserError
from absgd.records import CONFIG_COLUMNS, best_file, column_of, config_of
from absgd.registry.plugin_table import PART_KINDS, part_spec
from absgd.yaml_text import read_yaml
from analysis.questions.winners import shown_seeds, winner_of
from analysis.runs import Runs
from analysis.wording.plugin_options import plugin_options


def commands(runs: Runs) -> list[str]:
    """Return shell commands that train the best configuration of one scenario again, on each of its seeds.

    They use the run folder's ``best/SCENARIO.yaml`` if it holds this configuration; otherwise the first command writes
    the configuration as YAML. The list is empty if nothing was chosen, or another program trained it.

    Args:
        runs: the runs of one scenario.
    """
    winner = winner_of(runs)
    folder = next(iter(runs.folders), None)
    if winner is None or folder is None or folder.kind != "absgd":
        return []
    row = {name: _plain(winner[name]) for name in CONFIG_COLUMNS}
    if row["plugins"]:
        return _with_plugins(row["plugins"], best_file(folder.path, winner.scenario))
    if not all(part_spec(kind, row[column_of(f"{kind}.name")]) for kind in PART_KINDS):
        return []
    try:
        config = config_of(row)
    except UserError:
        return []
    file = best_file(folder.path, winner.scenario)
    found = []
    if not _is_same(file, config):
        file = Path(f"{winner.scenario}-{winner.configuration}.yaml".replace("/", "-"))
        found.append(f"cat > {shlex.quote(str(file))} <<'END'\n{config.to_yaml()}END")
    is_confirmed = winner.basis == "confirmed"
    for seeds in [(row.seed_data, row.seed_train) for row in runs.rows(shown_seeds) if row.order == 0]:
        words = ["absgd-train", "--config", str(file)]
        if is_confirmed:
            data, train = (int(seed) for seed in seeds)
            name = f"{winner.scenario}-{winner.configuration}-{data}-{train}".replace("/", "-")
            words += ["--set", f"seeds.data={data}", "--set", f"seeds.train={train}"]
            words += ["--out", f"runs/{name}", "--test"]
        found.append(shlex.join(words))
    return found


def _with_plugins(identities: list[str], file: Path) -> list[str]:
    """Return the command for a run whose parts need plugins: no config is built here, which would need them too."""
    if not file.is_file():
        return []
    return [shlex.join(["absgd-train", "--config", str(file), *plugin_options(identities)])]


def _plain(value: Any) -> Any:
    """Convert a value of a frame to one that a config accepts."""
    if pd.api.types.is_list_like(value):
        return [_plain(one) for one in value]
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def _has_known_parts(settings: object) -> bool:
    """Whether all parts of a config are in the tables; one with another part would load an installed plugin."""
    if not isinstance(settings, Mapping) or settings.get("plugins"):
        return False
    sections = {kind: settings.get(kind) for kind in PART_KINDS}
    return all(isinstance(one, Mapping) and part_spec(kind, one.get("name")) for kind, one in sections.items())


def _is_same(file: Path, config: RunConfig) -> bool:
    """Whether a file holds this configuration, seeds and title aside."""
    if not file.is_file():
        return False
    try:
        settings = read_yaml(file)
        if not _has_known_parts(settings):
            return False
        own = RunConfig.from_dict(settings, str(file))
    except (UserError, OSError):
        return False
    aside = {"seeds.data": config.seeds.data, "seeds.train": config.seeds.train, "data.title": config.data.title}
    return own.with_values(aside).resolved() == config.resolved()
