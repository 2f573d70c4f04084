"""absgd-train, called in this process; tests/system starts the real command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from absgd import records
from absgd.cli import app
from absgd.config import RunConfig
from absgd.config.recipes import load_recipe
from absgd.datasets import load_splits
from absgd.errors import UserError
from absgd.terminal import print_words
from tests.support.small_files import write_cifar10, write_imagefolder

CLOCKS = ["train_s", "val_s", "images_per_s"]
CONFIG: dict[str, Any] = {
    "data": {"name": "digits", "val_per_class": 10, "n_max": 20},
    "model": {"name": "resnet8"},
    "attention": {"lam": 2, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 1},
    "epochs": 3,
    "device": {"type": "cpu", "threads": 1},
}


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def epochs(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "epochs.parquet").drop(columns=["run", "trial_id", *CLOCKS])


def test_run_is_recorded_in_plain_files(config_file: Path) -> None:
    result = call("--config", config_file, "--test")
    assert result.exit_code == 0, result.output
    folder = Path("runs/small")
    assert {file.name for file in folder.iterdir()} == {
        "config.yaml",
        "environment.json",
        "epochs.parquet",
        "trials.parquet",
        "train_labels.parquet",
        "classes.parquet",
        "last.pt",
        "previous.pt",
        "best.pt",
    }
    trial = pd.read_parquet(folder / "trials.parquet").iloc[0]
    assert (trial.status, trial.phase, trial.epochs_trained, trial.lam) == ("completed", "single", 3, 2.0)
    assert 0 <= trial.test_accuracy <= 1
    assert trial.metric_last == pd.read_parquet(folder / "epochs.parquet").val_balanced_accuracy.iloc[-1]
    assert len(pd.read_parquet(folder / "epochs.parquet")) == 3
    assert RunConfig.from_yaml(folder / "config.yaml") == RunConfig.from_dict(CONFIG)
    assert json.loads((folder / "environment.json").read_text())["sessions"][0]["packages"]["torch"]
    assert "test_accuracy" in result.output
    assert "recorded in runs/small" in result.output


def test_predictions_of_a_run_are_those_of_its_test_numbers(config_file: Path) -> None:
    result = call("--config", config_file, "--test", "--predictions")
    assert result.exit_code == 0, result.output
    rows = pd.read_parquet("runs/small/predictions/small.parquet")
    test = rows[rows.split == "test"]
    trial = pd.read_parquet("runs/small/trials.parquet").iloc[0]
    assert (np.stack(test.logits).argmax(axis=1) == test.label).mean() == trial.test_accuracy
    assert (rows.split == "validation").sum() == 100
    again = call("--resume", "runs/small", "--predictions")
    assert again.exit_code == 0, again.output
    later = pd.read_parquet("runs/small/predictions/small.parquet")
    pd.testing.assert_frame_equal(later, rows[rows.split == "validation"].astype(later.dtypes))


def test_labels_that_noise_changed_are_recorded(config_file: Path) -> None:
    words = ["--set", "noise.type=symmetric", "--set", "noise.rate=0.4", "--set", "epochs=2"]
    assert call("--config", config_file, *words).exit_code == 0
    labels = pd.read_parquet("runs/small/train_labels.parquet")
    clean = load_splits(RunConfig.from_dict(CONFIG))
    assert labels["index"].tolist() == clean.train_index_N.tolist()
    assert labels.changed.tolist() == (labels.label.to_numpy() != clean.train.labels_N).tolist()
    assert labels.changed.sum() == 10 * round(0.4 * 20)


def test_broken_image_in_training_leaves_a_failed_row(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from absgd.training import RunFolder

    def broken(*_: Any) -> None:
        raise UserError("image 7 is damaged")

    monkeypatch.setattr(RunFolder, "add_epoch", broken)
    assert call("--config", config_file).exit_code == 2
    (row,) = pd.read_parquet("runs/small/trials.parquet").itertuples()
    assert (row.status, row.error) == ("failed", "image 7 is damaged")


def test_without_test_option_no_test_metric_is_recorded(config_file: Path) -> None:
    assert call("--config", config_file, "--set", "epochs=2").exit_code == 0
    assert pd.isna(pd.read_parquet("runs/small/trials.parquet").test_accuracy[0])


@pytest.mark.parametrize(("fast", "swallowed"), [(False, False), (True, False), (False, True)])
def test_interrupted_run_resumes_to_the_same_numbers(
    config_file: Path, monkeypatch: pytest.MonkeyPatch, fast: bool, swallowed: bool
) -> None:
    given = ("--config", config_file, "--set", f"device.fast={str(fast).lower()}")
    assert call(*given, "--out", "whole").exit_code == 0

    from absgd.training import RunFolder

    add_epoch = RunFolder.add_epoch

    def add_then_interrupt(self: RunFolder, record: Any, trainer: Any) -> None:
        add_epoch(self, record, trainer)
        if record.epoch == 1:
            with suppress(*([KeyboardInterrupt] if swallowed else [])):  # as a bare `except:` of a library does
                os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "add_epoch", add_then_interrupt)
        stopped = call(*given, "--out", "parts")
    assert stopped.exit_code == 130
    assert "absgd-train --resume parts" in stopped.output
    assert pd.read_parquet("parts/trials.parquet").status[0] == "interrupted"
    assert call("--resume", "parts").exit_code == 0
    pd.testing.assert_frame_equal(epochs(Path("parts")), epochs(Path("whole")))
    assert pd.read_parquet("parts/trials.parquet").status[0] == "completed"
    assert pd.read_parquet("parts/trials.parquet").fast[0] == fast


def test_set_replaces_settings_and_warns_of_unused_ones(config_file: Path) -> None:
    result = call("--config", config_file, "--set", "loss.name=ce", "--set", "optimizer.lr=1e-3", "--set", "epochs=2")
    assert result.exit_code == 0, result.output
    assert "warning: loss `ce` has no attention weights: `attention` is not used" in result.output
    config = RunConfig.from_yaml("runs/small/config.yaml")
    assert (config.loss.name, config.optimizer.lr) == ("ce", 1e-3)


def test_diverged_run_is_recorded(config_file: Path) -> None:
    result = call("--config", config_file, "--set", "optimizer.lr=1e18")
    assert result.exit_code == 1
    assert "diverged: non-finite" in result.output
    trial = pd.read_parquet("runs/small/trials.parquet").iloc[0]
    assert trial.status == "diverged"
    assert "non-finite" in trial.error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected `--config FILE`, `--recipe NAME` or `--resume DIR`, got none of them"),
        (["--config", "small.yaml", "--recipe", "cifar10_exp_0.1"], "expected `--config FILE` or `--recipe NAME`, got"),
        (["--recipe", "cifar10"], "got 'cifar10'; did you mean `cifar10_exp_0.1`? (--recipe)"),
        (["--recipe", "cifar10", "--show"], "expected one of the recipes `cifar100_step_0.01`, `cifar10_exp_0.1`"),
        (["--recipe", "cifar10_exp_0.1", "--set", "epochs=100"], "expected `switch_epoch` < `epochs` (100), got 160"),
        (["--recipe", "cifar10_exp_0.1", "--set", "data.download=false"], "data.root"),
        (["--config", "small.yaml", "--set", "data.name=cifar10", "--set", "model.weights=x"], "model.weights"),
        (["--config", "absent.yaml"], "cannot read absent.yaml: No such file"),
        (["--config", "small.yaml", "--set", "epochs"], "expected KEY=VALUE, got 'epochs' (--set)"),
        (["--config", "small.yaml", "--set", "epoch=3"], "unknown key `epoch`; did you mean `epochs`? (--set: epoch)"),
        (["--config", "small.yaml", "--set", "epochs=x"], "expected `epochs` to be a whole number, got 'x'"),
        (["--config", "small.yaml", "--set", "epochs=["], "expected valid YAML"),
        (["--config", "small.yaml", "--metric", "val_acuracy"], "did you mean `val_accuracy`? (--metric)"),
        (["--config", "small.yaml", "--set", "data.val_per_class=1000"], "val_per_class"),
        (["--config", "small.yaml", "--set", "device.type=cpu", "--device", "cpu"], "expected `device.type` once"),
        (["--config", "small.yaml", "--set", "model.name=cnn8", "--set", "model={}"], "`model` before `model.name`"),
        (["--config", "small.yaml", "--set", "data.name=cifar10"], "data.root"),
        (["--config", "small.yaml", "--out", "small.yaml"], "small.yaml exists"),
        (
            ["--config", "small.yaml", "--out", "small.yaml/inside"],
            "expected a folder, got 'small.yaml/inside': Not a directory (--out)",
        ),
        (["--resume", "absent"], "expected a run folder with config.yaml, found none in absent (--resume)"),
        (["--resume", "absent", "--config", "small.yaml"], "expected `--resume` without"),
        (["--resume", "absent", "--recipe", "cifar10_exp_0.1"], "expected `--resume` without"),
        (["--resume", "absent", "--show"], "expected `--resume` without"),
        (["--config", "small.yaml", "--device", "cuda"], "expected a CUDA device, found none"),
    ],
)
def test_bad_input_exits_2_with_one_message_and_creates_nothing(
    config_file: Path, arguments: list[str], message: str
) -> None:
    if "cuda" in arguments:
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert sorted(path.name for path in Path().iterdir()) == ["small.yaml"]


def test_show_prints_the_whole_configuration_and_trains_nothing(config_file: Path) -> None:
    result = call("--config", config_file, "--set", "epochs=2", "--device", "cpu", "--show")
    assert result.exit_code == 0, result.output
    shown = RunConfig.from_dict(yaml.safe_load(result.stdout))
    assert shown == RunConfig.from_dict(CONFIG).with_values({"epochs": 2})
    assert yaml.safe_load(result.stdout) == shown.to_dict(), "every field is shown"
    assert sorted(path.name for path in Path().iterdir()) == ["small.yaml"]


def test_show_prints_the_resolved_options_of_the_device(config_file: Path) -> None:
    options = ("--set", "device.fast=true", "--set", "device.precision=float32")
    result = call("--config", config_file, *options, "--show")
    assert result.stderr == "on cpu: float32, channels_last, evaluation by 256\n"
    assert yaml.safe_load(result.stdout)["device"]["fast"] is True
    assert call("--config", config_file, "--show").stderr == ""


def test_graph_without_gpu_is_refused_before_training(config_file: Path) -> None:
    for device in ("cpu", "auto"):
        options = ("--set", "device.cuda_graph=true", "--set", f"device.type={device}")
        result = call("--config", config_file, *options, "--out", "none")
        assert result.exit_code == 2
        if device == "cpu" or not torch.cuda.is_available():
            assert "expected `cuda_graph` with a CUDA device only" in result.stderr
        assert not Path("none").exists()


def test_gpu_out_of_memory_is_reported_with_a_remedy(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has")

    monkeypatch.setattr("absgd.training.trainer.Trainer._train_epoch", no_room)
    result = call("--config", config_file)
    assert result.exit_code == 2
    assert "got model `resnet8` with `batch_size` 128 (CUDA out of memory. Tried to allocate 2.00 GiB)" in result.stderr
    assert "set batch_size=64 or less, or let fewer runs share the GPU (batch_size)" in result.stderr
    assert "Traceback" not in result.output
    row = pd.read_parquet("runs/small/trials.parquet").iloc[0]
    assert row.status == "failed"
    assert "CUDA out of memory" in row.error


@pytest.mark.parametrize("error", [RuntimeError("Connection closed by peer"), KeyError("x")])
def test_error_of_ours_or_of_a_library_leaves_a_failed_row(
    config_file: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("absgd.training.trainer.Trainer._train_epoch", broken)
    assert call("--config", config_file).exit_code == 1
    row = pd.read_parquet("runs/small/trials.parquet").iloc[0]
    assert (row.status, row.error) == ("failed", repr(error))


def test_shown_recipe_is_a_configuration_to_train(config_file: Path) -> None:
    result = call("--recipe", "cifar10_exp_0.1", "--set", "seeds.train=3", "--show")
    assert result.exit_code == 0, result.output
    Path("mine.yaml").write_text(result.stdout)
    assert RunConfig.from_yaml("mine.yaml") == load_recipe("cifar10_exp_0.1").with_values({"seeds.train": 3})


def test_run_of_a_recipe_is_resumed_as_any_other(config_file: Path) -> None:
    write_cifar10(Path("data"), per_class=3)
    small = {"epochs": 2, "attention.switch_epoch": 1, "class_balance.type": "none", "class_balance.from_epoch": 0}
    small |= {"schedule.type": "constant", "schedule.milestones": [], "schedule.warmup_epochs": 0}
    small |= {"data.val_per_class": 1, "imbalance.type": "none", "imbalance.ratio": 1, "model.name": "resnet8"}
    small |= {"device.type": "cpu"}
    words = [f"--set={key}={value}" for key, value in small.items()]
    assert call("--recipe", "cifar10_exp_0.1", *words, "--out", "mine").exit_code == 0
    assert call("--resume", "mine").exit_code == 0
    assert len(pd.read_parquet("mine/epochs.parquet")) == 2


def test_missing_weights_are_reported_before_training(config_file: Path) -> None:
    write_cifar10(Path("data"), per_class=3)
    settings = ["data.name=cifar10", "data.val_per_class=1", "model.name=resnet18", "model.weights=absent.pth"]
    result = call("--config", config_file, *(f"--set={setting}" for setting in settings))
    assert result.exit_code == 2
    reason = "cannot read the weights: No such file or directory"
    assert f"{reason} ({config_file.parent}/absent.pth: model.weights)" in result.output
    assert not Path("runs").exists()


def test_existing_folder_is_refused(config_file: Path) -> None:
    Path("runs/small").mkdir(parents=True)
    result = call("--config", config_file)
    assert result.exit_code == 2
    assert "runs/small exists: continue it with `--resume runs/small` or give another `--out`" in result.output


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"x"), Path.unlink])
def test_damaged_checkpoint_is_named_on_resume_and_the_one_before_used(
    config_file: Path, damage: Callable[[Path], object]
) -> None:
    assert call("--config", config_file).exit_code == 0
    whole = epochs(Path("runs/small"))
    damage(Path("runs/small/last.pt"))
    result = call("--resume", "runs/small")
    assert result.exit_code == 0, result.output
    named = (
        "checkpoint runs/small/last.pt is damaged, or was written without a checksum by an older version: "
        "using the one before it"
    )
    assert (named in result.output) == (damage is not Path.unlink)
    pd.testing.assert_frame_equal(epochs(Path("runs/small")), whole, check_exact=True)


def test_two_damaged_checkpoints_are_named_on_resume(config_file: Path) -> None:
    assert call("--config", config_file).exit_code == 0
    for name in ("last", "previous"):
        Path(f"runs/small/{name}.pt").write_bytes(b"x")
    result = call("--resume", "runs/small")
    assert result.exit_code == 2
    assert "checkpoint runs/small/last.pt is damaged" in result.output
    assert "checkpoint runs/small/previous.pt is damaged" in result.output


def test_missing_epochs_are_named_on_resume(config_file: Path) -> None:
    assert call("--config", config_file).exit_code == 0
    before = pd.read_parquet("runs/small/trials.parquet")
    Path("runs/small/epochs.parquet").unlink()
    result = call("--resume", "runs/small")
    assert result.exit_code == 2
    assert "expected the first 3 epochs in runs/small/epochs.parquet (--resume)" in result.output
    pd.testing.assert_frame_equal(pd.read_parquet("runs/small/trials.parquet"), before)


@pytest.mark.parametrize("metric", ["", " ", "val_acc"])
def test_unknown_metric_name_is_refused(config_file: Path, metric: str) -> None:
    for more in ([], ["--show"]):
        result = call("--config", config_file, f"--metric={metric}", *more)
        assert result.exit_code == 2
        assert f"got {metric!r}" in result.output
    assert not Path("runs").exists()


def test_metric_of_a_group_without_classes_is_refused_before_training(config_file: Path) -> None:
    result = call("--config", config_file, "--metric", "val_many_accuracy", "--set", "data.n_max=20")
    assert result.exit_code == 2
    message = (
        "expected a metric that the run has, got `val_many_accuracy`: no class in that group has validation images"
    )
    assert f"{message} (--metric)" in result.output
    assert not Path("runs").exists()


@pytest.mark.parametrize("option", ["--out", "--resume"])
def test_overlong_folder_is_refused(config_file: Path, option: str) -> None:
    words = ["--config", config_file] if option == "--out" else []
    result = call(*words, option, "x" * 300)
    assert result.exit_code == 2
    assert f"File name too long ({option})" in result.output


def test_resume_with_an_empty_option_is_refused_like_any(config_file: Path) -> None:
    assert call("--config", config_file).exit_code == 0
    for option in ("--metric=", "--recipe=", "--set="):
        result = call("--resume", "runs/small", option)
        assert result.exit_code == 2
        assert "expected `--resume` without --config" in result.output


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="from Python 3.14 on leading dots belong to a file's stem")
def test_file_whose_name_cannot_name_a_folder_needs_out(config_file: Path) -> None:
    for name in ("..yaml", "...yaml"):
        Path(name).write_bytes(config_file.read_bytes())
        result = call("--config", name)
        assert result.exit_code == 2
        assert "expected `--out DIR`" in result.output
    assert not Path("runs").exists()


@pytest.mark.parametrize(("column", "value"), [("metric", "val_acc"), ("wall_s", None)])
def test_damaged_trial_row_is_refused(config_file: Path, column: str, value: object) -> None:
    assert call("--config", config_file).exit_code == 0
    rows = records.read_rows(Path("runs/small/trials.parquet"), records.TRIAL_SCHEMA)
    damaged = records.as_table(records.TRIAL_SCHEMA, [{**rows[0], column: value}])
    records.write_table(Path("runs/small/trials.parquet"), damaged)
    result = call("--resume", "runs/small")
    assert result.exit_code == 2
    assert f"trials.parquet: `{column}` is {value!r}" in result.output


@pytest.mark.parametrize("content", ["{", "[]", '{"sessions": 3}', '{"sessions": [3, {}]}', "[" * 100_000])
def test_damaged_environment_file_does_not_prevent_loading(config_file: Path, content: str) -> None:
    assert call("--config", config_file).exit_code == 0
    Path("runs/small/environment.json").write_text(content)
    assert call("--resume", "runs/small").exit_code == 0
    assert len(json.loads(Path("runs/small/environment.json").read_text())["sessions"]) == 1


@pytest.mark.parametrize(
    "assignment", ["batch_size=100000000000000000000000", "optimizer.lr=1e300", "device.threads=100000000000000000000"]
)
def test_numbers_that_no_machine_holds_are_refused(config_file: Path, assignment: str) -> None:
    result = call("--config", config_file, "--set", assignment)
    assert result.exit_code == 2
    assert f"expected `{assignment.split('=')[0]}` <= " in result.output
    assert not Path("runs").exists()


OWN: dict[str, Any] = {
    "data": {"name": "imagefolder", "root": "imgs", "val_per_class": 2, "side": 16, "workers": 0},
    "model": {"name": "resnet8"},
    "loss": {"name": "ce"},
    "augmentation": {"pad": 1, "flip": False},
    "epochs": 2,
    "batch_size": 8,
    "device": {"type": "cpu", "threads": 1},
}


@pytest.fixture
def own_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder in which a run of image folders has been trained for two epochs, away from the current one."""
    here = tmp_path / "here"
    write_imagefolder(here / "imgs", 2, 6)
    (here / "own.yaml").write_text(yaml.safe_dump(OWN))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(here)
    result = call("--config", "own.yaml")
    assert result.exit_code == 0, result.output
    monkeypatch.chdir(tmp_path / "elsewhere")
    return here


def test_a_run_with_a_relative_root_resumes_from_another_folder(own_images: Path) -> None:
    result = call("--resume", own_images / "runs" / "own", "--test")
    assert result.exit_code == 0, result.output
    trial = pd.read_parquet(own_images / "runs" / "own" / "trials.parquet").iloc[0]
    assert (trial.data_root, trial.data_title) == (f"{own_images}/imgs", "imgs")
    classes = pd.read_parquet(own_images / "runs" / "own" / "classes.parquet")
    assert classes.to_dict("list") == {
        "class": [0, 1],
        "name": ["class_0", "class_1"],
        "num_train": [4, 4],
        "num_val": [2, 2],
    }


def test_a_run_whose_folders_have_moved_and_changed_their_names(own_images: Path) -> None:
    there = own_images.rename(own_images.parent / "there")
    run = (there / "runs" / "own").rename(there / "renamed")
    refused = call("--resume", run)
    assert refused.exit_code == 2
    assert f"`--moved {own_images}/imgs=NEW`" in refused.output
    result = call("--resume", run, "--moved", f"{own_images}={there}", "--test")
    assert result.exit_code == 0, result.output
    assert call("--resume", run).exit_code == 0
    assert set(pd.read_parquet(run / "epochs.parquet").trial_id) == {"renamed"}
    trial = pd.read_parquet(run / "trials.parquet").iloc[0]
    assert (trial.data_root, trial.data_title, trial.trial_id) == (f"{there}/imgs", "imgs", "renamed")
    assert (
        "expected `--moved OLD=NEW` with `--resume DIR`"
        in call("--config", there / "own.yaml", "--moved", "a=b").output
    )


def test_a_test_set_that_lacks_a_class(own_images: Path) -> None:
    shutil.rmtree(own_images / "imgs" / "test" / "class_1")
    result = call("--resume", own_images / "runs" / "own", "--test")
    assert result.exit_code == 0, result.output
    assert "warning: no test image of class 1 (class_1): recall is unknown there" in result.output
    line = next(line for line in result.output.splitlines() if line.startswith("test_accuracy"))
    assert line.endswith(" over 1 of 2 classes")
    assert ", the last; the best is" in result.output
    shutil.rmtree(own_images / "imgs" / "test" / "class_0")
    empty = call("--resume", own_images / "runs" / "own", "--test")
    assert empty.exit_code == 2
    assert "test" in empty.output


def test_a_validation_part_that_lacks_a_class(own_images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own_images)
    shutil.rmtree("imgs/val/class_1")
    result = call("--config", "own.yaml", "--set", "data.validation=own", "--set", "epochs=1", "--out", "runs/val")
    assert result.exit_code == 0, result.output
    assert "warning: no validation image of class 1 (class_1)" in result.output
    assert "over 1 of 2 classes after 1 epoch, the last" in result.output


def test_a_missing_test_set_is_refused_before_training(own_images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own_images)
    shutil.rmtree("imgs/test")
    for words in (["--config", "own.yaml", "--out", "runs/new"], ["--resume", "runs/own"]):
        refused = call(*words, "--test")
        assert refused.exit_code == 2
        assert "imgs/test" in refused.output
    assert not Path("runs/new").exists()
    assert call("--resume", "runs/own").exit_code == 0


def test_epochs_are_counted_as_done_in_every_line(config_file: Path) -> None:
    result = call("--config", config_file)
    trial = pd.read_parquet("runs/small/trials.parquet").iloc[0]
    lines = result.output.splitlines()
    assert [line.partition("  ")[0] for line in lines if line.startswith("after")] == [
        f"after {done} of 3 epochs" for done in (1, 2, 3)
    ]
    best = f"the best is {trial.metric_chosen:.4f} after {trial.chosen_epoch + 1} of 3 epochs"
    assert f"{trial.metric_last:.4f} after 3 epochs, the last; {best}" in result.output


def test_words_are_printed_whole_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "val_accuracy 0.3000 after 2 epochs, the last; the best is 0.3000 after 2 of 2 epochs"
    print_words(text)
    assert capsys.readouterr().out == f"{text}\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    print_words(text)
    assert capsys.readouterr().out.splitlines()[1:] == ["last; the best is 0.3000 after 2 of 2", "epochs"]
