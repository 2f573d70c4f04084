"""Trainer: exact resume and fork, stage one untouched by attention, divergence, and no reading of the test set."""

from __future__ import annotations

import copy
import dataclasses
import io
import itertools
import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from absgd.config import RunConfig
from absgd.config.sections import DataConfig
from absgd.datasets import Images, Splits, build_batches, in_memory, load_splits, load_test
from absgd.errors import UserError
from absgd.losses import TruncatedCrossEntropy
from absgd.training import Diverged, Trainer
from tests.support.small_files import write_fashion_mnist
from tests.support.small_runs import make, numbers


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(make())


@pytest.fixture(scope="module")
def whole_run(splits: Splits) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    trainer = Trainer(make(), splits)
    records = [numbers(record) for record in trainer.epochs()]
    return records, copy.deepcopy(trainer.model.state_dict())


def test_same_config_gives_the_same_bits_for_any_global_generators(
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
    """A huge lambda makes all weights equal, so that only their sum is tested."""
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
    with pytest.raises(Diverged, match="non-finite training loss after 1 epoch and 0 steps"):
        next(records)
    assert all(torch.equal(a, b) for a, b in zip(others, list(trainer.model.parameters())[1:], strict=True))
    assert trainer.next_epoch == 1


def test_high_learning_rate_ends_as_diverged(splits: Splits) -> None:
    with pytest.raises(Diverged):
        list(Trainer(make(**{"optimizer.lr": 1e18, "schedule.warmup_epochs": 0}), splits).epochs())


def test_diverged_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(Diverged(3, 7)))
    assert (error.epoch, error.step, str(error)) == (3, 7, "non-finite training loss after 3 epochs and 7 steps")


def test_splitting_and_training_never_read_the_test_set(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[str] = []
    read = in_memory.read_digits

    def noting(config: DataConfig, part: Literal["train", "test"]) -> Images:
        parts.append(part)
        return read(config, part)

    monkeypatch.setattr(in_memory, "read_digits", noting)
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


@pytest.mark.parametrize("next_epoch", ["two", None, float("nan")])
def test_checkpoint_of_no_epoch_is_refused(splits: Splits, next_epoch: Any) -> None:
    state = Trainer(make(), splits).state_dict() | {"next_epoch": next_epoch}
    with pytest.raises(UserError, match="expected a checkpoint of this model and loss"):
        Trainer(make(), splits).load_state_dict(state)


def test_cuda_without_a_gpu_is_a_user_error(splits: Splits) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="expected a CUDA device, found none"):
        Trainer(make(**{"device.type": "cuda"}), splits)


LOSSES_UNDER_ATTENTION: dict[str, dict[str, Any]] = {
    "abce": {"attention.lam": -1.0},
    "abfocal": {"loss.focal_gamma": 2.0},
    "abldam": {"attention.lam": 5.0},
    "ablogit_adjustment": {"loss.la_tau": 0.5},
    "abvs": {"attention.lam": -1.0},
    "absce": {"attention.lam": -0.5, "attention.add_uniform": True, "loss.class_tau": 0.5},
    "abtce": {"loss.tce_k": 0.2, "attention.lam": -1.0},
    "abtce pruned before the switch": {"loss.tce_k": 0.2, "loss.tce_prune_from": 1},
}


def make_attentive(name: str) -> RunConfig:
    return make(**{"loss.name": name.split()[0], "optimizer.grad_clip": 5.0, **LOSSES_UNDER_ATTENTION[name]})


def continued(config: RunConfig, splits: Splits, state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the records of the rest of a run that resumes from a state written to a file and read back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    trainer = Trainer(config, splits)
    trainer.load_state_dict(torch.load(file, weights_only=True))
    return [numbers(record) for record in trainer.epochs()]


@pytest.mark.parametrize("name", LOSSES_UNDER_ATTENTION)
def test_run_forked_from_its_trunk_or_resumed_gives_the_same_bits(splits: Splits, name: str) -> None:
    config = make_attentive(name)
    whole = Trainer(config, splits)
    records, states = [], []
    for record in whole.epochs():
        records.append(numbers(record))
        states.append(copy.deepcopy(whole.state_dict()))
    trunk = Trainer(config.stage_one(), splits)
    before = [numbers(record) for record in itertools.islice(trunk.epochs(), 2)]
    assert before == records[:2]
    assert continued(config, splits, trunk.state_dict()) == records[2:]
    assert continued(config, splits, states[2]) == records[3:]
    assert records[2]["log_u"] is not None


def test_plain_training_after_the_switch_is_not_a_trunk(splits: Splits) -> None:
    trunk = Trainer(make().stage_one(), splits)
    list(itertools.islice(trunk.epochs(), 3))
    with pytest.raises(UserError, match="expected a checkpoint with log u, the moving average of stage two"):
        Trainer(make(), splits).load_state_dict(trunk.state_dict())


@pytest.mark.parametrize(
    ("values", "first"),
    [
        ({"loss.name": "abtce"}, 2),
        ({"loss.name": "abtce", "loss.tce_prune_from": 1}, 1),
        ({"loss.name": "tce", "class_balance.from_epoch": 0, "loss.tce_prune_from": 3}, 3),
        ({"loss.name": "tce", "class_balance.from_epoch": 0}, 4),
    ],
)
def test_record_tells_which_fraction_is_kept(splits: Splits, values: dict[str, Any], first: int) -> None:
    records = list(Trainer(make(**{"loss.tce_k": 0.2, **values}), splits).epochs())
    kept = [record.kept_fraction for record in records]
    assert kept[:first] == [1.0] * first
    assert all(fraction is not None and fraction < 1 for fraction in kept[first:])


def test_flags_come_from_the_model_at_the_start_of_the_epoch(splits: Splits) -> None:
    trainer = Trainer(make(**{"loss.name": "abtce", "loss.tce_k": 0.2}), splits)
    records = trainer.epochs()
    list(itertools.islice(records, 2))
    model = copy.deepcopy(trainer.model).eval()
    (batch,) = build_batches(splits.train, trainer.config, trainer.device).evaluation(len(splits.train))
    with torch.no_grad():
        p_B = model(batch.images_BCHW).softmax(dim=1).gather(1, batch.labels_B[:, None])[:, 0]
    next(records)
    criterion = trainer.objective.criterion
    assert isinstance(criterion, TruncatedCrossEntropy)
    assert criterion.keep_N.tolist() == (p_B > 0.2).tolist()


def test_pruning_pass_does_not_change_training(splits: Splits) -> None:
    """A threshold that every sample passes: the passes over the training images must not show."""
    plain = {"loss.name": "tce", "loss.tce_k": 1e-30, "class_balance.from_epoch": 0}
    looking, not_looking = (
        [numbers(record) for record in Trainer(make(**plain, **{"loss.tce_prune_from": first}), splits).epochs()]
        for first in (0, None)
    )
    assert looking == not_looking


def test_no_other_loss_has_a_kept_fraction(
    whole_run: tuple[list[dict[str, Any]], dict[str, torch.Tensor]],
) -> None:
    assert [record["kept_fraction"] for record in whole_run[0]] == [None] * 4


def test_record_without_noise_has_no_changed_samples(
    whole_run: tuple[list[dict[str, Any]], dict[str, torch.Tensor]],
) -> None:
    assert [record["mean_weight_changed"] for record in whole_run[0]] == [None] * 4
    assert whole_run[0][0]["mean_weight_clean"] == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("lam", [1.0, -1.0])
def test_changed_samples_weigh_less_for_negative_lambda(lam: float) -> None:
    values = {"data.n_max": 100, "imbalance": {"type": "none"}, "noise": {"type": "symmetric", "rate": 0.3}}
    values |= {"attention.lam": lam, "epochs": 8, "attention.switch_epoch": 6, "augmentation.flip": False}
    config = make(**values)
    splits = load_splits(config)
    *_, plain, _, last = Trainer(config, splits).epochs()
    assert plain.mean_weight_clean == pytest.approx(1, rel=1e-6)
    assert plain.mean_weight_changed == pytest.approx(1, rel=1e-6)
    assert last.mean_weight_clean is not None
    assert last.mean_weight_changed is not None
    assert (last.mean_weight_changed > last.mean_weight_clean) == (lam > 0)
    changed = int(splits.changed_N.sum())
    total = last.mean_weight_clean * (len(splits.train) - changed) + last.mean_weight_changed * changed
    by_class = sum((weight or 0.0) * n for weight, n in zip(last.mean_weight, splits.class_counts, strict=True))
    assert total == pytest.approx(by_class)


NOISY_TCE: dict[str, dict[str, Any]] = {
    "tce": {"loss.name": "tce", "class_balance.from_epoch": 0, "loss.tce_prune_from": 2},
    "abtce": {"loss.name": "abtce", "attention.add_uniform": True},
}


def make_pruning(name: str) -> RunConfig:
    """Two epochs with all samples and two with those that tce keeps."""
    noise = {"type": "symmetric", "rate": 0.3}
    return make(**NOISY_TCE[name], **{"imbalance": {"type": "none"}, "noise": noise, "class_balance": {"type": "none"}})


@pytest.mark.parametrize("name", NOISY_TCE)
def test_changed_samples_that_are_all_left_out_report_no_weight(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_pruning(name)
    splits = load_splits(config)
    changed_N = torch.tensor(splits.changed_N)

    def keep_clean(criterion: TruncatedCrossEntropy, *prediction: torch.Tensor) -> None:
        criterion.keep_N.copy_(~changed_N)

    monkeypatch.setattr(TruncatedCrossEntropy, "refresh", keep_clean)
    *_, before, _, last = Trainer(config, splits).epochs()
    assert before.mean_weight_changed == pytest.approx(1, rel=1e-6)
    assert last.mean_weight_changed == 0
    assert last.mean_weight_clean is not None
    assert last.mean_weight_clean > 0.5


@pytest.mark.parametrize("name", NOISY_TCE)
def test_mean_weights_leave_out_the_same_samples(name: str) -> None:
    config = make_pruning(name).with_values({"loss.tce_k": 0.1})
    splits = load_splits(config)
    *_, last = Trainer(config, splits).epochs()
    assert last.kept_fraction is not None
    assert 0 < last.kept_fraction < 1
    assert last.mean_weight_clean is not None
    assert last.mean_weight_changed is not None
    changed = int(splits.changed_N.sum())
    total = last.mean_weight_clean * (len(splits.train) - changed) + last.mean_weight_changed * changed
    by_class = sum((weight or 0.0) * n for weight, n in zip(last.mean_weight, splits.class_counts, strict=True))
    assert total == pytest.approx(by_class)
    if name == "tce":
        assert total == pytest.approx(last.kept_fraction * len(splits.train))


PLAIN_SGD = {
    "loss.name": "ce",
    "class_balance.from_epoch": 0,
    "optimizer.momentum": 0.0,
    "optimizer.weight_decay": 0.0,
    "schedule.warmup_epochs": 0,
    "batch_size": 10_000,
    "epochs": 3,
}


@pytest.mark.parametrize("grad_clip", [1e-3, 1e-2])
def test_clipped_step_is_not_longer_than_the_limit(splits: Splits, grad_clip: float) -> None:
    trainer = Trainer(make(**PLAIN_SGD, **{"optimizer.grad_clip": grad_clip, "optimizer.lr": 0.1}), splits)
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    next(trainer.epochs())
    moved = sum(
        float((new.detach().double() - old.double()).square().sum())
        for new, old in zip(trainer.model.parameters(), before, strict=True)
    )
    assert moved**0.5 == pytest.approx(0.1 * grad_clip, rel=1e-2)


def test_wide_clip_changes_no_bit(
    splits: Splits, whole_run: tuple[list[dict[str, Any]], dict[str, torch.Tensor]]
) -> None:
    trainer = Trainer(make(**{"optimizer.grad_clip": 1e6}), splits)
    assert [numbers(record) for record in trainer.epochs()] == whole_run[0]


def test_gradient_without_a_finite_norm_never_reaches_the_optimiser(splits: Splits) -> None:
    trainer = Trainer(make(**{"optimizer.grad_clip": 1.0}), splits)
    first = next(trainer.model.parameters())
    first.register_hook(lambda gradient: gradient * float("inf"))  # type: ignore[no-untyped-call]
    before = copy.deepcopy([parameter.detach() for parameter in trainer.model.parameters()])
    with pytest.raises(Diverged, match="non-finite gradient norm after 0 epochs and 0 steps"):
        next(trainer.epochs())
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


@pytest.mark.parametrize("name", ["ldam", "balanced_softmax", "logit_adjustment", "vs"])
def test_loss_of_class_counts_over_an_empty_class_is_refused_before_training(splits: Splits, name: str) -> None:
    counts = (*splits.class_counts[:-1], 0)
    with pytest.raises(UserError, match=r"at least one training image in every class .* got none in \[9\]"):
        Trainer(
            make(**{"loss.name": name, "class_balance": {"type": "none"}}),
            dataclasses.replace(splits, class_counts=counts),
        )


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
