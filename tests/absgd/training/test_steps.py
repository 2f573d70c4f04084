"""The implementations of a step: all give the same numbers, and the faster ones never wait for the device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from absgd.config import RunConfig
from absgd.datasets import Images, Splits, load_splits
from absgd.records import EpochRecord
from absgd.training import Diverged, Trainer, load_checkpoint, save_checkpoint
from absgd.training.cuda_graph import GraphStep, make_capturable
from absgd.training.deferred_step import DeferredStep
from absgd.training.step import LOSS, NORM, ExactStep
from tests.support.gpus import needs_gpu
from tests.support.step_recorders import (
    FakeRecorder,
    OperationRecorder,
    WaitedError,
    parts,
    refuse_to_wait,
    with_graph_step,
)

CLOCKS = ("train_s", "val_s", "images_per_s")
BASE: dict[str, Any] = {
    "data": {"name": "digits", "val_per_class": 10, "n_max": 30},
    "imbalance": {"type": "exp", "ratio": 0.2},
    "noise": {"type": "symmetric", "rate": 0.2},
    "augmentation": {"pad": 1, "flip": True, "rotation_deg": 10.0},
    "model": {"name": "resnet8"},
    "loss": {"name": "abce"},
    "attention": {"lam": 2.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 2},
    "class_balance": {"type": "reweight", "from_epoch": 1},
    "optimizer": {"grad_clip": 1.0},
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


def with_deferred_step(trainer: Trainer) -> Trainer:
    trainer._step = DeferredStep(*parts(trainer), trainer._train.batch_of)
    return trainer


def numbers(record: EpochRecord) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(record).items() if name not in CLOCKS}


@pytest.mark.parametrize("loss", ["abce", "abtce", "absce", "abfocal", "ce"])
def test_deferred_step_gives_the_bits_of_the_exact_one(splits: Splits, loss: str) -> None:
    config = make(**{"loss.name": loss})
    exact, deferred = Trainer(config, splits), with_deferred_step(Trainer(config, splits))
    assert isinstance(exact._step, ExactStep)
    assert [numbers(one) for one in deferred.epochs()] == [numbers(one) for one in exact.epochs()]
    pairs = zip(deferred.model.state_dict().values(), exact.model.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("loss", ["abce", "abtce", "absce", "abfocal"])
@pytest.mark.parametrize("momentum", [0.9, 0.0])
@pytest.mark.parametrize("recorder", [FakeRecorder(), OperationRecorder()], ids=["body", "operations"])
def test_graph_step_gives_the_numbers_of_the_exact_one(
    splits: Splits, loss: str, momentum: float, recorder: FakeRecorder
) -> None:
    """Not bit for bit: a learning rate that is a tensor is float32, and the fused update rounds differently."""
    config = make(**{"loss.name": loss, "optimizer.momentum": momentum, "optimizer.lr": 0.02})
    recorder.captures = recorder.replays = 0
    graphed = list(with_graph_step(Trainer(config, splits), recorder).epochs())
    exact = list(Trainer(config, splits).epochs())
    for one, other in zip(graphed, exact, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-3)
        assert one.log_u == pytest.approx(other.log_u, rel=1e-3) if other.log_u else one.log_u is None
        assert one.mean_weight == pytest.approx(other.mean_weight, rel=1e-3)
        assert one.lr == other.lr
    whole_batches = len(splits.train) // config.batch_size
    assert len(splits.train) % config.batch_size, "the last batch should be smaller"
    assert recorder.replays == whole_batches * config.epochs
    assert recorder.captures == 3, "stage one, with class weights, stage two"


def test_capture_leaves_the_state_unchanged(splits: Splits) -> None:
    trainer = with_graph_step(Trainer(make(**{"attention.switch_epoch": 0}), splits), FakeRecorder())
    step = trainer._step
    assert isinstance(step, GraphStep)
    trainer.model.train()
    step.begin(0)
    draw = next(iter(trainer._train.draws(0, 0, 32)))
    make_capturable(trainer.optimizer)
    before = [value.clone() for value in step._changed_by_training()]
    step._captured(draw)
    after = list(step._changed_by_training())
    assert len(before) == len(after)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert trainer.objective.log_u is None


def test_graph_step_resumes_from_a_checkpoint_with_plain_learning_rates(splits: Splits, tmp_path: Any) -> None:
    config = make(**{"optimizer.lr": 0.02})
    whole = [numbers(one) for one in with_graph_step(Trainer(config, splits), FakeRecorder()).epochs()]
    first = with_graph_step(Trainer(config, splits), FakeRecorder())
    records = first.epochs()
    next(records), next(records)
    save_checkpoint(tmp_path / "c.pt", first.state_dict())
    state = load_checkpoint(tmp_path / "c.pt")
    assert all(type(group["lr"]) is float for group in state["optimizer"]["param_groups"])
    second = with_graph_step(Trainer(config, splits), FakeRecorder())
    step = second._step
    second._new_step = lambda: step  # type: ignore[method-assign]
    second.load_state_dict(state)
    assert [numbers(one) for one in second.epochs()] == whole[2:]


def test_state_of_another_kernel_does_not_change_the_optimisers_own(splits: Splits) -> None:
    exact = Trainer(make(), splits)
    next(exact.epochs())
    fused = with_graph_step(Trainer(make(), splits), FakeRecorder())
    fused.load_state_dict(exact.state_dict())
    assert [group["fused"] for group in fused.optimizer.param_groups] == [True]


class Diverging(nn.Module):
    """A criterion whose loss, or its gradient, is not finite from a given call on."""

    def __init__(self, first: int, what: str) -> None:
        super().__init__()
        self.calls, self.first, self.what = 0, first, what

    def forward(self, logits_BC: torch.Tensor, labels_B: torch.Tensor, class_weights_C: object) -> torch.Tensor:
        del class_weights_C
        self.calls += 1
        loss_B = nn.functional.cross_entropy(logits_BC, labels_B, reduction="none")
        if self.calls <= self.first:
            return loss_B
        # The slope of the root at 0 is infinite where its value is not.
        return loss_B * float("nan") if self.what == LOSS else loss_B + (logits_BC[:, 0] * 0).abs().sqrt()


@pytest.mark.parametrize("what", [LOSS, NORM])
@pytest.mark.parametrize("first", [0, 3])
def test_deferred_step_names_the_step_that_the_exact_one_names(splits: Splits, what: str, first: int) -> None:
    found = []
    for make_step in (lambda trainer: trainer, with_deferred_step):
        trainer = Trainer(make(), splits)
        trainer.objective.criterion = Diverging(first, what)  # type: ignore[assignment]
        with pytest.raises(Diverged) as caught:
            next(make_step(trainer).epochs())
        found.append((caught.value.epoch, caught.value.step, caught.value.what))
    assert found == [(0, first, what)] * 2


class NoSynchronisation(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        refuse_to_wait(func)
        return func(*args, **(kwargs or {}))


def trained_without_waiting(trainer: Trainer, guard: Callable[[], Any]) -> None:
    epoch = trainer.config.epochs - 1
    trainer.objective.start_epoch(epoch, trainer._predict_training)
    trainer.model.train()
    draws = list(trainer._train.draws(0, epoch, 32))
    trainer._step.begin(epoch)
    trainer._step(draws[0])
    with guard():
        for draw in draws[1:]:
            trainer._step(draw)


@pytest.mark.parametrize("loss", ["abce", "abtce", "absce", "abfocal", "balanced_softmax", "abvs", "term"])
def test_deferred_step_does_not_wait_for_the_device(splits: Splits, loss: str) -> None:
    trainer = with_deferred_step(Trainer(make(**{"loss.name": loss, "loss.class_tau": 1.0}), splits))
    trained_without_waiting(trainer, NoSynchronisation)


def test_replayed_step_does_not_wait_for_the_device(splits: Splits) -> None:
    trained_without_waiting(with_graph_step(Trainer(make(), splits), FakeRecorder()), NoSynchronisation)


def test_exact_step_is_seen_to_wait_for_the_device(splits: Splits) -> None:
    with pytest.raises(WaitedError):
        trained_without_waiting(Trainer(make(), splits), NoSynchronisation)


@contextmanager
def cuda_refuses_to_wait() -> Iterator[None]:
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_gpu
@pytest.mark.parametrize("loss", ["abce", "abtce", "absce", "abfocal"])
@pytest.mark.parametrize("cuda_graph", [False, True])
def test_fast_step_on_a_gpu_does_not_wait_for_it(splits: Splits, loss: str, cuda_graph: bool) -> None:
    device = {"type": "cuda", "fast": True, "cuda_graph": cuda_graph}
    trained_without_waiting(Trainer(make(**{"loss.name": loss, "device": device}), splits), cuda_refuses_to_wait)


@needs_gpu
@pytest.mark.parametrize("loss", ["abce", "abtce"])
def test_graph_on_a_gpu_gives_the_numbers_of_the_exact_step(splits: Splits, loss: str) -> None:
    common = {"loss.name": loss, "optimizer.lr": 0.02}
    graphed, exact = (
        list(Trainer(make(**common, device={"type": "cuda", "cuda_graph": on}), splits).epochs())
        for on in (True, False)
    )
    for one, other in zip(graphed, exact, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-2)
        assert one.mean_weight == pytest.approx(other.mean_weight, rel=1e-2)


@needs_gpu
def test_evaluation_after_a_graph_sees_the_trained_weights(splits: Splits) -> None:
    config = make(**{"device": {"type": "cuda", "fast": True}, "epochs": 4})
    trainer = Trainer(config, splits)
    last = [*trainer.epochs()][-1]
    fresh = Trainer(config, splits)
    fresh.load_state_dict(trainer.state_dict())
    assert isinstance(splits.val, Images)
    assert fresh.test(splits.val).test_loss == pytest.approx(last.val_loss)
