"""Searches over parts of a plugin: spaces, options, controls, records and reports; Ray is a fake."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from absgd import records
from absgd.errors import UserError
from absgd.registry.dataset_table import DATASETS
from absgd.registry.loss_table import LOSSES
from absgd.registry.model_table import MODELS
from absgd.registry.plugin_table import PLUGINS
from analysis.load import load
from analysis.report.html_report import report_html
from tests.support.fake_tuner import SPACE, FakeTuner, rising
from tests.support.made_up_scores import far
from tests.support.own_parts import PARTS, RUN, installed, loaded
from tests.support.spaces import preview_of
from tests.support.tune_command import call
from tune_runs.request.recorded_space import recorded
from tune_runs.request.search_request import resume_request
from tune_runs.request.space_files import space_from_dict, space_schema
from tune_runs.space.model import SearchSpace

pytestmark = pytest.mark.usefixtures("own_tables")


def unload() -> None:
    for table in (LOSSES, MODELS, DATASETS, PLUGINS):
        for name in ("sharp", "net", "stripes", "parts.py"):
            table.pop(name, None)  # type: ignore[attr-defined]


def own_space(search: dict[str, Any] | None = None, **changes: Any) -> SearchSpace:
    base = {name: RUN[name] for name in ("data", "model", "loss")}
    asked = {**SPACE, "base": {**base, "epochs": 10}, "scenarios": [{}], "num_trials": 3, "confirm": {"max_pairs": 2}}
    return space_from_dict({**asked, "search": {**SPACE["search"], **(search or {})}, **changes})


def test_options_are_searched_and_in_the_schema(tmp_path: Path) -> None:
    loaded(tmp_path)
    space = own_space(
        {"model.options.width": {"low": 2, "high": 8}, "loss.options.kind": {"choices": ["soft", "hard"]}}
    )
    assert space.search["model.options.width"].type == "int"
    assert [cost.name for cost in preview_of(space, [(2, 0)]).scenarios] == ["stripes"]
    schema = space_schema()
    assert schema["properties"]["search"]["properties"]["model.options.width"]["description"] == "Channels."
    options = schema["$defs"]["PartialModelConfig"]["properties"]["options"]
    assert options["properties"]["width"] == {
        "default": 4, "description": "Channels.", "minimum": 1, "title": "Width", "type": "integer",
    }  # fmt: skip


def test_option_is_searched_for_the_part_that_has_it_alone(tmp_path: Path) -> None:
    loaded(tmp_path)
    base = {"data": RUN["data"], "model": {"name": "net"}, "loss": RUN["loss"], "epochs": 10}
    width = {"low": 2, "high": 8, "when": {"model.name": ["net"]}}
    search = {"model.name": {"choices": ["net", "resnet8"]}, "model.options.width": width}
    space = own_space(search, base=base, num_trials=8, confirm=None)
    FakeTuner(space, tmp_path / "run", rising).run()
    trials = load(tmp_path / "run").trials.query("phase == 'search'")
    assert set(trials.model) == {"net", "resnet8"}
    assert (trials["model.options.width"].isna() == (trials.model == "resnet8")).all()
    assert len(set(trials["model.options.width"].dropna())) > 1


def test_schema_lists_the_options_of_installed_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        result = call("--schema")
    finally:
        sys.modules.pop("own_package", None)
    assert result.exit_code == 0, result.output
    assert "model.options.width" in json.loads(result.stdout)["properties"]["search"]["properties"]


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"model.options.widths": {"low": 2, "high": 8}}, "unknown parameter `model.options.widths`; did you mean"),
        ({"model.options.width": {"low": 0, "high": 8}}, "expected `width` >= 1, got 0"),
        ({"loss.options.kind": {"choices": [3]}}, "expected `kind` to be text, got 3"),
        ({"plugins": {"choices": [3]}}, "`plugins` cannot be searched: `--plugin FILE.py` loads one"),
    ],
)
def test_space_refuses_options_that_no_part_has(tmp_path: Path, search: dict[str, Any], message: str) -> None:
    loaded(tmp_path)
    with pytest.raises(UserError) as caught:
        own_space(search)
    assert message in str(caught.value)


def test_search_is_confirmed_recorded_and_reported_without_the_plugin(tmp_path: Path) -> None:
    plugin = loaded(tmp_path)
    folder = tmp_path / "run"
    FakeTuner(own_space({"loss.options.power": {"choices": [1.0, 2.0]}}), folder, rising, test_score=far).run()
    trials = pd.read_parquet(folder / records.TRIALS_FILE)
    assert set(trials.plugins.map(tuple)) == {(plugin.identity,)}
    confirmed = set(trials[trials.phase == "confirm"].candidate)
    assert {"best-1", "sharp", "sharp-lr", "ce", "ce-lr", "focal", "balanced-softmax"} <= confirmed
    assert "ldam-drw" not in confirmed, "the network has no cosine classifier"
    assert trials[trials.candidate == "ce"].loss_options.isna().all()
    best = yaml.safe_load((folder / "best" / "stripes.yaml").read_text())
    assert best["plugins"] == [plugin.identity]
    assert best["loss"]["options"]["power"] in (1.0, 2.0)

    unload()
    runs = load(folder)
    assert not runs.problems
    assert set(runs.trials["loss.options.power"].dropna()) == {1.0, 2.0}
    assert "loss.options.power" in runs.best().columns
    page = report_html(runs)
    assert "sharp at lr / ab_alpha" in page
    assert f"absgd-train --config {folder}/best/stripes.yaml --plugin PATH/parts.py" in page
    assert not PLUGINS, "a report loads no code"


def test_resume_needs_the_plugin_that_the_search_began_with(tmp_path: Path) -> None:
    plugin = loaded(tmp_path)
    folder = tmp_path / "run"
    FakeTuner(recorded(own_space()), folder, rising, test_score=far).run()
    assert yaml.safe_load((folder / records.SPACE_FILE).read_text())["base"]["plugins"] == [plugin.identity]
    assert f"--plugin {tmp_path / 'parts.py'}" in resume_request(folder).resume_command
    loaded(tmp_path, f"{PARTS}# changed\n")
    with pytest.raises(UserError, match=r"expected plugin `parts\.py` as it was when this run was made"):
        resume_request(folder)
    unload()
    with pytest.raises(UserError, match=r"this run was made: add `--plugin PATH/parts\.py` \(\S+: base\.plugins\)$"):
        resume_request(folder)
