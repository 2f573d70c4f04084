"""Runs with parts of a plugin: their options, their identity, their training, and what is refused before it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

from absgd import records
from absgd.cli import app
from absgd.config import RunConfig
from absgd.datasets import load_splits
from absgd.errors import UserError
from absgd.plugins import load_plugin
from absgd.registry.plugin_table import PLUGINS
from absgd.training import Trainer
from tests.support.commands import run
from tests.support.own_parts import FILES, PARTS, RUN, loaded, write_listed_images, written

pytestmark = pytest.mark.usefixtures("own_tables")


def own_run(**values: Any) -> RunConfig:
    return RunConfig.from_dict(RUN).with_values(values)


def test_options_are_those_that_the_part_declares(tmp_path: Path) -> None:
    loaded(tmp_path)
    config = own_run(**{"loss.options.power": 2.0})
    assert config.to_dict()["model"]["options"] == {"width": 3}
    assert config.to_dict()["loss"]["options"] == {"power": 2.0, "kind": "soft"}
    assert RunConfig.from_dict(config.to_dict()) == config
    assert hash(config) == hash(RunConfig.from_dict(config.to_dict()))
    assert config.stage_one_key() != own_run().stage_one_key()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model.options.widths": 3}, "unknown key `widths`; did you mean `width`? (configuration: model.options."),
        ({"model.options.width": "3"}, "expected `width` to be a whole number, got '3'"),
        ({"model.options.width": 0}, "expected `width` >= 1, got 0 (configuration: model.options.width)"),
        ({"model.options": 3}, "expected `model.options` to be a mapping of keys to values, got 3"),
        ({"data.options.x": 1}, "expected no options of data `stripes`, got {'x': 1} (configuration: data.options)"),
        ({"model.name": "resnet8"}, "expected no options of model `resnet8`, got {'width': 3}"),
        ({"model.dropout": 0.5}, "expected `dropout` = 0 with model `net`, which has none, got 0.5"),
        ({"loss.name": "ldam", "loss.options": {}, "attention": None}, "expected `head` `linear` with model `net`"),
        ({"model.option": {}}, "unknown key `model.option`"),
    ],
)
def test_config_refuses_options_that_no_part_reads(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    loaded(tmp_path)
    with pytest.raises(UserError) as caught:
        own_run(**values)
    assert message in str(caught.value)


def test_plugins_of_a_run_are_filled_in_and_decide_stage_one(tmp_path: Path) -> None:
    plugin = loaded(tmp_path)
    config = own_run()
    assert config.plugins == (plugin.identity,)
    other = config.with_values({"model.name": "resnet8", "model.options": {}, "loss.name": "ce", "loss.options": {}})
    assert other.plugins == (plugin.identity,), "the data set is its own too"
    assert RunConfig.from_dict({"data": {"name": "digits"}, "loss": {"name": "ce"}}).plugins == ()
    key = config.stage_one_key()
    with pytest.raises(UserError, match="as it was when this run was made"):
        loaded(tmp_path, f"{PARTS}\n# changed\n") and RunConfig.from_dict(config.to_dict())
    assert own_run().stage_one_key() != key


@pytest.mark.parametrize("plugins", [3, "parts.py", ["parts.py"], ["parts.py sha256:12"], [3], {}])
def test_plugins_that_no_run_records_are_refused(plugins: object) -> None:
    with pytest.raises(UserError) as caught:
        RunConfig.from_dict({"data": {"name": "digits"}, "loss": {"name": "ce"}, "plugins": plugins}, "run.yaml")
    assert "expected a list of `NAME sha256:HASH`, as runs record plugins, got " in str(caught.value)
    assert str(caught.value).endswith("`--plugin FILE.py` loads one (run.yaml: plugins)")


def test_row_of_a_run_gives_its_config_back(tmp_path: Path) -> None:
    loaded(tmp_path)
    config = own_run()
    row = records.config_columns(config)
    assert row["model_options"] == '{"width": 3}'
    assert row["data_options"] is None
    assert records.column_value(row, records.column_of("model.options.width")) == 3
    assert records.column_value(row, records.column_of("model.name")) == "net"
    assert records.config_of(row) == config.resolved()


UNPICKLED = """
import pickle, sys
config = pickle.load(sys.stdin.buffer)
from absgd.training import Trainer
from absgd.datasets import load_splits
print(config.plugins[0], *(record.train_loss for record in Trainer(config, load_splits(config)).epochs()))
"""


def test_pickled_run_takes_its_plugin_to_a_process_without_the_file(tmp_path: Path) -> None:
    plugin = loaded(tmp_path)
    (tmp_path / "parts.py").unlink()
    config = own_run()
    losses = [record.train_loss for record in Trainer(config, load_splits(config)).epochs()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", UNPICKLED], input=pickle.dumps(config), capture_output=True, env=environment, check=False
    )
    assert not done.stderr
    assert done.stdout.decode().split() == [*plugin.identity.split(), *map(str, losses)]


WRONG = [
    ("num_classes)\n    )", "num_classes + 1)\n    )", "expected logits of shape (2, 3) for 2 images of 3 classes"),
    ("    return nn.Sequential(", "    return str(", "`net` of plugin `parts.py` raised TypeError"),
    ("nn.ReLU(),", "nn.Dropout(),", "expected random draws that can be replayed"),
    ("num_classes)\n    )", "num_classes)\n    ).requires_grad_(False)", "expected logits with a gradient"),
    ("nn.ReLU(),", "nn.Threshold(9.0, float('nan')),", "expected finite logits before it is trained"),
    (
        "    return Sharp(config.options.power)",
        "    return nn.CrossEntropyLoss()",
        "expected an absgd.losses.Criterion",
    ),
    ("labels_B, class_weights_C)", "labels_B, class_weights_C).mean()", "expected one loss per sample"),
    ("labels_B, class_weights_C)", "labels_B, class_weights_C).detach()", "got losses without a gradient"),
    ("labels_B, class_weights_C)", "labels_B, class_weights_C).double()", "got torch.float64"),
    (".astype(np.uint8), labels", ".astype(np.float32), labels", "expected images in uint8 of shape (N, C, H, W)"),
    (".astype(np.uint8), labels", ".astype(np.uint8), labels + 1", "expected labels from 0 to 2 in train of data"),
    (".astype(np.uint8), labels", ".astype(np.uint8)[:, :, :5], labels", "expected images of shape (1, 8, 8)"),
    (".astype(np.uint8), labels", ".astype(np.uint8), labels[1:]", "expected one whole-number label for each of 120"),
    (".astype(np.uint8), labels", ".astype(np.uint8), [[1], [1, 2]]", "expected a pair of arrays in train of data"),
    ("generator.integers(60,", "generator.integer(60,", "`stripes` of plugin `parts.py` raised AttributeError"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_part_that_gives_something_else_is_refused_before_training(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in PARTS
    loaded(tmp_path, PARTS.replace(old, new))
    config = own_run()
    with pytest.raises(UserError) as caught:
        Trainer(config, load_splits(config))
    assert message in str(caught.value)
    assert "parts.py" in str(caught.value)


def test_images_in_files_are_read_in_processes_of_their_own(tmp_path: Path) -> None:
    write_listed_images(tmp_path)
    loaded(tmp_path, PARTS)
    loaded(tmp_path, FILES.replace("NUM_CLASSES", "2"), "files.py")
    data = {"name": "listed", "root": str(tmp_path), "val_per_class": 5, "workers": 1, "options": {"column": "kind"}}
    config = own_run(data=data, epochs=2)
    assert len(config.plugins) == 2
    (first, _) = Trainer(config, load_splits(config)).epochs()
    assert first.train_loss > 0
    loaded(tmp_path, FILES.replace("NUM_CLASSES", "3"), "files.py")
    with pytest.raises(UserError, match=r"expected 2 classes in train of data `listed` of plugin `files\.py`, got 3"):
        load_splits(config)


def test_check_of_a_model_leaves_it_and_the_generators_alone(tmp_path: Path) -> None:
    loaded(tmp_path, PARTS.replace("nn.ReLU(),", "nn.BatchNorm2d(width),"))
    config = own_run()
    model = Trainer(config, load_splits(config)).model
    assert isinstance(model[1], torch.nn.BatchNorm2d)  # type: ignore[index]
    assert model[1].num_batches_tracked == 0  # type: ignore[index]


def test_absgd_train_takes_a_plugin_and_resumes_with_the_same_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(RUN))
    words = ["--config", "run.yaml", "--set", "model.options.width=5", "--out", "one"]
    assert "got 'net'; a part of your own needs `--plugin FILE.py`" in refusal(*words)
    assert not (tmp_path / "one").exists()

    done = run(tmp_path, "absgd-train", *words, "--plugin", "parts.py", "--test")
    assert (done.returncode, done.stderr) == (0, "")
    row = pd.read_parquet(tmp_path / "one" / "trials.parquet").iloc[0]
    assert (row.model_options, row.status) == ('{"width": 5}', "completed")
    (named,) = yaml.safe_load((tmp_path / "one" / "config.yaml").read_text())["plugins"]

    assert "add `--plugin PATH/parts.py` (one/config.yaml: plugins)" in refusal("--resume", "one")
    written(tmp_path, f"{PARTS}# changed\n")
    changed = refusal("--resume", "one", "--plugin", "parts.py")
    assert "expected plugin `parts.py` as it was when this run was made" in changed
    written(tmp_path)
    assert run(tmp_path, "absgd-train", "--resume", "one", "--plugin", "parts.py").returncode == 0
    PLUGINS.clear()
    assert load_plugin(tmp_path / "parts.py").identity == named


def refusal(*words: str) -> str:
    """Return what the command prints when it refuses."""
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2, result.output
    return result.stderr
