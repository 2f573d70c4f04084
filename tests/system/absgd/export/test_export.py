"""A trained model goes home as safetensors and ONNX, with its card, and comes back the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from absgd import load_model
from absgd.cli import app
from absgd.config import RunConfig
from absgd.datasets import Images, load_test
from absgd.errors import UserError
from absgd.export import destinations
from absgd.export.search_verdict import keep_verdict
from absgd.plugins import load_plugin
from absgd.records import Verdict, write_verdicts
from absgd.registry.model_table import MODELS
from absgd.registry.plugin_table import PLUGINS
from tests.support.own_parts import PARTS
from tests.support.small_files import write_imagefolder
from tests.system.absgd.export import networks

safetensors: Any = pytest.importorskip("safetensors.torch")
onnx: Any = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime: Any = pytest.importorskip("onnxruntime")

CONFIG: dict[str, Any] = {
    "data": {"name": "digits", "val_per_class": 10, "n_max": 20},
    "imbalance": {"type": "exp", "ratio": 0.2},
    "model": {"name": "resnet8", "dropout": 0.2},
    "loss": {"name": "ce", "posthoc_tau": 1.0},
    "optimizer": {"lr": 0.01},
    "epochs": 2,
    "device": {"type": "cpu", "threads": 1},
}


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_config(folder: Path, **changes: object) -> Path:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **changes}))
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run that was exported in both formats."""
    folder = tmp_path_factory.mktemp("home")
    files = (folder / "home/digits.safetensors", folder / "home/digits.onnx")
    options = [word for file in files for word in ("--export", file)]
    result = call("--config", write_config(folder), "--out", folder / "run", "--test", *options)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (folder / "home").iterdir()) == [
        "digits.md",
        "digits.onnx",
        "digits.safetensors",
    ]
    return folder


@pytest.fixture
def images() -> Images:
    test = load_test(RunConfig.from_dict(CONFIG))
    assert isinstance(test, Images)
    return test


def predicted_accuracy(logits_NK: torch.Tensor, images: Images) -> float:
    return float((logits_NK.argmax(1).numpy() == images.labels_N).mean())


def test_weights_come_back_bit_for_bit(home: Path) -> None:
    trained = torch.load(home / "run/last.pt", weights_only=True)["model"]
    own = load_model(home / "home/digits.safetensors").network.state_dict()
    assert set(own) == set(trained)
    assert all(torch.equal(own[name], trained[name]) for name in trained)


def test_loaded_model_measures_what_the_run_measured(home: Path, images: Images) -> None:
    model = load_model(str(home / "home/digits.safetensors"))
    assert not model.training
    pixels = torch.from_numpy(images.images_NCHW)
    with torch.no_grad():
        logits_NK = model(pixels)
    (trial,) = pd.read_parquet(home / "run/trials.parquet").to_dict("records")
    assert predicted_accuracy(logits_NK, images) == trial["test_accuracy"]
    counts = np.array(trial["class_counts"])
    shift = torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32))
    with torch.no_grad():
        plain_NK = model.network((pixels.float() / 255 - model.facts.mean[0]) / model.facts.std[0])
    torch.testing.assert_close(logits_NK, plain_NK - shift)


def test_normalised_floats_give_the_logits_of_their_pixels(home: Path, images: Images) -> None:
    model = load_model(home / "home/digits.safetensors")
    pixels = torch.from_numpy(images.images_NCHW[:7])
    normalised = (pixels.float() / 255 - model.facts.mean[0]) / model.facts.std[0]
    with torch.no_grad():
        torch.testing.assert_close(model(normalised), model(pixels))


def test_onnx_agrees_with_torch_at_any_batch_size(home: Path, images: Images) -> None:
    model = load_model(home / "home/digits.safetensors")
    session = onnxruntime.InferenceSession(str(home / "home/digits.onnx"), providers=["CPUExecutionProvider"])
    for number in (1, 5, len(images)):
        pixels = images.images_NCHW[:number]
        (found,) = session.run(["logits"], {"images": pixels})
        with torch.no_grad():
            expected = model(torch.from_numpy(pixels)).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-4 * max(1, np.abs(expected).max()))
    assert {one.domain: one.version for one in onnx.load(home / "home/digits.onnx").opset_import}[""] == 18


def test_both_files_hold_the_facts(home: Path) -> None:
    model = load_model(home / "home/digits.safetensors")
    (trial,) = pd.read_parquet(home / "run/trials.parquet").to_dict("records")
    assert model.facts.split_hash == trial["split_hash"]
    assert model.facts.classes == tuple("0123456789")
    assert (model.facts.metric, model.facts.metric_value) == ("val_balanced_accuracy", trial["metric_last"])
    assert model.facts.config == RunConfig.from_yaml(home / "run/config.yaml")
    props = {prop.key: prop.value for prop in onnx.load(home / "home/digits.onnx").metadata_props}
    assert json.loads(props["split_hash"]) == trial["split_hash"]
    assert RunConfig.from_dict(yaml.safe_load(props["config"])) == model.facts.config


def test_card_says_what_was_measured_and_warns(home: Path) -> None:
    card = (home / "home/digits.md").read_text()
    (trial,) = pd.read_parquet(home / "run/trials.parquet").to_dict("records")
    for words in (
        f"| test accuracy, these weights | {trial['test_accuracy']:.4f} |",
        f"| validation balanced accuracy, these weights | {trial['metric_last']:.4f} |",
        trial["split_hash"],
        "Imbalance: `exp`; smallest class over largest: 0.2.",
        "No search of absgd-tune with a verdict stands behind these settings",
        "one run with one pair of seeds",
        "fewer than 20 training images, where errors are likely: 1, 2, 3, 4, 5, 6, 7, 8, 9.",
        "load_model('digits.safetensors')",
        "The logits are adjusted by the class shares",
        "posthoc_tau: 1.0",
    ):
        assert words in card
    assert "The test set was not read" not in card


def test_best_epoch_of_a_run_that_has_ended_is_exported_without_training(home: Path, tmp_path: Path) -> None:
    before = (home / "run/epochs.parquet").read_bytes()
    file = tmp_path / "best.safetensors"
    result = call("--resume", home / "run", "--export", file, "--export-weights", "best")
    assert result.exit_code == 0, result.output
    assert (home / "run/epochs.parquet").read_bytes() == before
    best = torch.load(home / "run/best.pt", weights_only=True)
    model = load_model(file)
    assert model.facts.epochs == best["next_epoch"]
    assert all(torch.equal(tensor, best["model"][name]) for name, tensor in model.network.state_dict().items())
    epochs = pd.read_parquet(home / "run/epochs.parquet")
    assert model.facts.metric_value == epochs.val_balanced_accuracy.max()


@pytest.mark.parametrize(
    ("resize", "words"),
    [("crop", "pixels: the centre of each, its shorter side resized to 37."), ("whole", "pixels: the whole of each.")],
)
def test_card_says_how_images_on_disk_were_resized(tmp_path: Path, resize: str, words: str) -> None:
    write_imagefolder(tmp_path / "images", 2, 8)
    data = {"name": "imagefolder", "root": str(tmp_path / "images"), "val_per_class": 2, "side": 32, "workers": 0}
    config = write_config(tmp_path, data={**data, "resize": resize}, imbalance={}, epochs=1)
    result = call("--config", config, "--out", tmp_path / "run", "--export", tmp_path / "m.safetensors")
    assert result.exit_code == 0, result.output
    assert words in (tmp_path / "m.md").read_text()


@pytest.mark.parametrize("change", [None, "optimizer.lr=0.3"])
def test_card_has_the_verdict_of_the_search_that_chose_the_settings(tmp_path: Path, change: str | None) -> None:
    (tmp_path / "search/best").mkdir(parents=True)
    config = tmp_path / "search/best/digits-exp-0.2.yaml"
    config.write_text(write_config(tmp_path, epochs=1).read_text())
    verdict = Verdict(
        "search", "digits-exp-0.2", "undecided", "Nothing is decided.", "Take plain training.", ("a point.",)
    )
    write_verdicts(tmp_path / "search/verdicts.json", [verdict])
    changes = ["--set", change] if change else []
    file = tmp_path / "m[1].safetensors"
    result = call("--config", config, "--out", tmp_path / "run", "--set", "seeds.train=5", *changes, "--export", file)
    assert result.exit_code == 0, result.output
    card = file.with_suffix(".md").read_text()
    assert ("**Undecided** (search `search`, scenario `digits-exp-0.2`)" in card) == (change is None)
    assert ("Nothing is decided. Take plain training." in card) == (change is None)
    assert "The test set was not read" in card
    assert "load_model('m[1].safetensors')" in card
    assert "# Model card: m\\[1\\]" in card


def test_verdicts_two_folders_above_another_file_are_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "verdicts.json").write_text("damaged")
    file = write_config(tmp_path / "configs")
    keep_verdict(tmp_path, RunConfig.from_yaml(file), file)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("m.pt", "expected a file that ends in `.safetensors` or `.onnx`, got"),
        ("m.safetensor", "did you mean `.safetensors`?"),
        ("there.onnx", "there.onnx exists: give another file (--export)"),
        ("card.onnx", "card.md exists: give another file (--export)"),
        ("there.onnx/m.onnx", "expected a folder that can be written, got"),
        (f"{'x' * 245}.onnx", "expected a shorter name, got"),
        ("/proc/m.onnx", "expected a folder that can be written, got /proc: "),
        ("~nobody_here/m.onnx", "no home folder of `~nobody_here` is known (--export)"),
    ],
)
def test_impossible_files_are_refused_before_training(tmp_path: Path, name: str, message: str) -> None:
    for there in ("there.onnx", "card.md"):
        (tmp_path / there).write_text("")
    file = name if name.startswith("~") else tmp_path / name
    result = call("--config", write_config(tmp_path), "--out", tmp_path / "run", "--export", file)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "run").exists()
    assert len(result.output.strip().splitlines()) == 1


def test_file_named_twice_and_weights_without_a_file_are_refused(tmp_path: Path) -> None:
    twice = ["--export", tmp_path / "m.onnx", "--export", tmp_path / "m.onnx"]
    assert "expected each file once" in call("--config", write_config(tmp_path), *twice).output
    assert "expected `--export FILE`" in call("--config", write_config(tmp_path), "--export-weights", "best").output


def test_absent_package_is_refused_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(destinations._PACKAGES, ".onnx", ("no_such_package_of_ours",))
    result = call("--config", write_config(tmp_path), "--out", tmp_path / "run", "--export", tmp_path / "m.onnx")
    assert result.exit_code == 2
    assert (
        "expected the package `no_such_package_of_ours`, found none: pip install 'absgd-tune[export]'" in result.output
    )


@pytest.fixture
def unholdable(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a model whose forward pass depends on its input in a way that ONNX cannot hold."""
    spec = MODELS["resnet8"]
    builder = f"{networks.__name__}:build_unholdable"
    monkeypatch.setitem(MODELS, "resnet8", type(spec)(builder))
    return "resnet8"


def test_model_that_onnx_cannot_hold_is_refused_before_training(tmp_path: Path, unholdable: str) -> None:
    config = write_config(tmp_path, model={"name": unholdable})
    result = call("--config", config, "--out", tmp_path / "run", "--export", tmp_path / "home/m.onnx")
    assert result.exit_code == 2, result.output
    _, error = result.output.strip().splitlines()
    assert f"expected a model that ONNX can hold, got `{unholdable}`: " in error
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "home").exists()


def test_model_with_more_than_tensors_in_its_state_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = type(MODELS["resnet8"])(f"{networks.__name__}:build_with_extra_state")
    monkeypatch.setitem(MODELS, "resnet8", spec)
    config = write_config(tmp_path, model={"name": "resnet8"})
    result = call("--config", config, "--out", tmp_path / "run", "--export", tmp_path / "m.safetensors")
    assert result.exit_code == 2, result.output
    assert "a model with a state of tensors, got `resnet8`: `_extra_state` is dict (--export)" in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["cut", "other", "weights", "facts", "channels", "absent"])
def test_damaged_and_foreign_files_are_refused(home: Path, tmp_path: Path, damage: str) -> None:
    content = (home / "home/digits.safetensors").read_bytes()
    tensors, file = safetensors.load(content), tmp_path / "m.safetensors"
    model = load_model(home / "home/digits.safetensors")
    metadata = model.facts.to_metadata()
    if damage == "cut":
        file.write_bytes(content[:-10])
    elif damage == "other":
        file.write_bytes(safetensors.save(tensors))
    elif damage == "weights":
        file.write_bytes(safetensors.save({**tensors, "network.extra": torch.zeros(1)}, metadata))
    elif damage == "facts":
        file.write_bytes(safetensors.save(tensors, {**metadata, "std": "[0]"}))
    elif damage == "channels":
        file.write_bytes(safetensors.save(tensors, {**metadata, "std": "[0.2, 0.2]"}))
    with pytest.raises(UserError, match=r"m\.safetensors"):
        load_model(file)


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(UserError, match=r"expected a path, got 3 \(load_model\)"):
        load_model(3)  # type: ignore[arg-type]


@pytest.mark.usefixtures("own_tables")
def test_model_of_a_plugin_names_it_until_it_is_loaded(tmp_path: Path) -> None:
    plugin, file = tmp_path / "parts.py", tmp_path / "m.safetensors"
    plugin.write_text(PARTS)
    config = write_config(tmp_path, model={"name": "net", "options": {"width": 3}})
    result = call("--plugin", plugin, "--config", config, "--out", tmp_path / "run", "--export", file)
    assert result.exit_code == 0, result.output
    expected = load_model(file).network.state_dict()
    del PLUGINS["parts.py"], MODELS["net"]  # as in another process
    with pytest.raises(UserError, match=r"expected plugin `parts\.py`.*absgd\.plugins\.load_plugin"):
        load_model(file)
    load_plugin(plugin)
    own = load_model(file).network.state_dict()
    assert all(torch.equal(own[name], expected[name]) for name in expected)
