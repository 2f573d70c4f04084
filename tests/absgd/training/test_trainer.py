"""Trainer: exact resume, stage one untouched by attention, divergence, what it never reads."""

from __future__ import annotations

import copy
import dataclasses
import io
import itertools
import pickle
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest
import torch

from absgd.config import DataConfig, RunConfig
from absgd.datasets import DATASETS, DatasetSpec, Images, Splits, load_splits, load_test
from absgd.errors import UserError
from absgd.records import EpochRecord
from absgd.training import Diverged, Trainer
from tests.small_files import write_fashion_mnist

CLOCKS = ("train_s", "val_s", "images_per_s")
BASE: dict[str, Any] = {
    "data": {"name": "digits", "val_per_class": 10, "n_max": 30},
    "imbalance": {"type": "exp", "ratio": 0.1},
    "augmentation": {"pad": 1, "flip": True},
    "model": {"name": "resnet8", "dropout": 0.2},
    "loss": {"name": "abce"},
    "attention": {"lam": 2.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 2},
    "class_balance": {"type": "reweight", "from_epoch": "switch"},
    "schedule": {"type": "cosine", "warmup_epochs": 1},
    "epochs": 4,
    "batch_size": 32,
    "device": {"type": "cpu", "threads": 1},
}


def make(**values: Any) -> RunConfig:
    return RunConfig.from_dict(BASE).with_values(values)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(make())


def numbers(record: EpochRecord) -> dict[str, Any]:
    """A record without its clocks."""
    return {name: value for name, value in dataclasses.asdict(record).items() if name not in CLOCKS}


@pytest.fixture(scope="module")
def whole_run(splits: Splits) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    trainer = Trainer(make(), splits)
    records = [numbers(record) for record in trainer.epochs()]
    return records, copy.deepcopy(trainer.model.state_dict())


def test_same_config_gives_the_same_bits_whatever_the_global_generators(
    splits: Splits, whole_run: tuple[list[dict[str, Any]], dict[str, torch.Tensor]]
) -> None:
    torch.manual_seed(123)
    np.random.seed(123)  # noqa: NPY002 - the point is that global state does not matter
    trainer = Trainer(make(), splits)
    assert [numbers(record) for record in trainer.epochs()] == whole_run[0]
    assert all(torch.equal(value, whole_run[1][name]) for name, value in trainer.model.state_dict().items())


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_resumed_run_gives_the_same_bits(
    splits: Splits, whole_run: tuple[list[dict[str, Any]], dict[str, torch.Tensor]], stop_after: int
) -> None:
    first = Trainer(make(), splits)
    records = [numbers(record) for record in itertools.islice(first.epochs(), stop_after)]
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = Trainer(make(), splits)
    second.load_state_dict(torch.load(file, weights_only=True))
    records += [numbers(record) for record in second.epochs()]
    assert records == whole_run[0]
    assert all(torch.equal(value, whole_run[1][name]) for name, value in second.model.state_dict().items())


@pytest.mark.parametrize(
    "values",
    [
        {"attention.lam": -7.0},
        {"attention.gamma": 0.9},
        {"attention.ab_alpha": 0.1},
        {"attention.switch_epoch": 3},
        {"loss.name": "ce", "attention": None, "class_balance": {"type": "none"}},
    ],
)
def test_stage_one_is_equal_for_equal_keys(
    splits: Splits, whole_run: tuple[list[dict[str, Any]], dict[str, torch.Tensor]], values: dict[str, Any]
) -> None:
    config = make(**values)
    assert config.stage_one_key() == make().stage_one_key()
    trainer = Trainer(config, splits)
    assert [numbers(record) for record in itertools.islice(trainer.epochs(), 2)] == whole_run[0][:2]


def test_record_tells_stages_weights_and_rates(
    whole_run: tuple[list[dict[str, Any]], dict[str, torch.Tensor]], splits: Splits
) -> None:
    records, _ = whole_run
    assert [record["stage"] for record in records] == [1, 1, 2, 2]
    assert [record["log_u"] is None for record in records] == [True, True, False, False]
    assert records[0]["mean_weight"] == pytest.approx((1.0,) * 10, rel=1e-6)
    assert len(records[0]["val_recall"]) == splits.num_classes
    assert records[0]["val_balanced_accuracy"] == pytest.approx(np.mean(records[0]["val_recall"]))
    assert records[0]["val_many_accuracy"] is None  # no class has more than 100 images


def test_weights_sum_to_one_over_ab_alpha_once_the_average_has_settled(splits: Splits) -> None:
    """A huge lambda makes all weights equal, so that only the sum is left of them."""
    *_, last = Trainer(make(**{"attention.lam": 1e9, "epochs": 12, "optimizer.lr": 1e-3}), splits).epochs()
    assert last.mean_weight == pytest.approx((2.0,) * 10, rel=1e-3)


def test_it_learns() -> None:
    values = {"data.n_max": 100, "epochs": 10, "attention.switch_epoch": 9, "augmentation.flip": False}
    config = make(**values, **{"imbalance": {"type": "none"}, "optimizer.lr": 0.05, "attention.lam": 50.0})
    *_, last = Trainer(config, load_splits(config)).epochs()
    assert last.val_accuracy > 0.8


def test_hard_samples_weigh_more_for_positive_lambda_and_less_for_negative(splits: Splits) -> None:
    common = {"imbalance": {"type": "exp", "ratio": 0.1}, "class_balance": {"type": "none"}}
    few_over_many = {}
    for lam in (1.0, -1.0):
        *_, last = Trainer(make(**common, **{"attention.lam": lam}), splits).epochs()
        weights = [weight or 0.0 for weight in last.mean_weight]
        few_over_many[lam] = np.mean(weights[-3:]) / np.mean(weights[:3])
    assert few_over_many[1.0] > 1 > few_over_many[-1.0]


def test_divergence_never_reaches_the_optimiser(splits: Splits) -> None:
    trainer = Trainer(make(), splits)
    records = trainer.epochs()
    next(records)
    with torch.no_grad():
        next(trainer.model.parameters()).fill_(float("nan"))
    others = [value.clone() for value in list(trainer.model.parameters())[1:]]
    with pytest.raises(Diverged, match="non-finite training loss in epoch 1, step 0"):
        next(records)
    assert all(torch.equal(a, b) for a, b in zip(others, list(trainer.model.parameters())[1:], strict=True))
    assert trainer.next_epoch == 1


def test_high_learning_rate_ends_as_diverged(splits: Splits) -> None:
    with pytest.raises(Diverged):
        list(Trainer(make(**{"optimizer.lr": 1e18, "schedule.warmup_epochs": 0}), splits).epochs())


def test_diverged_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(Diverged(3, 7)))
    assert (error.epoch, error.step, str(error)) == (3, 7, "non-finite training loss in epoch 3, step 7")


def test_splitting_and_training_never_read_the_test_set(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[str] = []
    spec = DATASETS["digits"]

    def noting(config: DataConfig, part: Literal["train", "test"]) -> Images:
        parts.append(part)
        return spec.read(config, part)

    monkeypatch.setitem(cast(dict[str, DatasetSpec], DATASETS), "digits", dataclasses.replace(spec, read=noting))
    config = make(epochs=3)
    assert len(list(Trainer(config, load_splits(config)).epochs())) == 3
    assert parts == ["train"]
    load_test(config)
    assert parts == ["train", "test"]


def test_test_metrics_come_from_an_explicit_call(splits: Splits) -> None:
    trainer = Trainer(make(epochs=3), splits)
    list(trainer.epochs())
    images = load_test(trainer.config)
    metrics = trainer.test(images)
    hits = metrics.test_accuracy * len(images.labels_N)
    assert hits == pytest.approx(round(hits))
    assert len(metrics.test_recall) == 10


def test_checkpoint_of_other_data_is_refused(splits: Splits) -> None:
    other = make(**{"seeds.data": 1})
    state = Trainer(other, load_splits(other)).state_dict()
    with pytest.raises(UserError, match="expected a checkpoint of the data split"):
        Trainer(make(), splits).load_state_dict(state)


def test_checkpoint_of_another_model_is_refused(splits: Splits) -> None:
    state = Trainer(make(**{"model.name": "resnet14"}), splits).state_dict()
    with pytest.raises(UserError, match="expected a checkpoint of this model and loss"):
        Trainer(make(), splits).load_state_dict(state)


def test_cuda_without_a_gpu_is_a_user_error(splits: Splits) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="expected a CUDA device, found none"):
        Trainer(make(**{"device.type": "cuda"}), splits)


@pytest.mark.parametrize("name", ["digits", "fashion_mnist"])
def test_splits_that_crossed_a_process_boundary_give_the_same_bits(tmp_path: Path, name: str) -> None:
    """Pickling normalises the strides of axes of size one, by which torch chooses its convolution kernels."""
    write_fashion_mnist(tmp_path, 14)
    config = make(**{"data": {"name": name, "root": str(tmp_path) if name == "fashion_mnist" else None}})
    config = config.with_values({"data.val_per_class": 4, "data.n_max": 10, "epochs": 3, "augmentation.pad": 2})
    local = load_splits(config)
    crossed = pickle.loads(pickle.dumps(local, protocol=5))
    runs = [[numbers(record) for record in Trainer(config, splits).epochs()] for splits in (local, crossed)]
    assert runs[0] == runs[1]
