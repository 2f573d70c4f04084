"""Training runs whose metric follows a curve, and their records; nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch

from absgd.config import RunConfig
from absgd.records import EpochRecord, TestMetrics
from absgd.training import Diverged
from tune_runs.trial.trial_reports import FinalMetrics
from tune_runs.trial.trial_run import TrialRun

Curve = Callable[[RunConfig, int], float | None]
"""Validation accuracy of a config at an epoch; None: it diverges there."""


class FakeTrainer:
    """A run whose metric follows a curve."""

    device = torch.device("cpu")
    epochs_trained: ClassVar[int] = 0
    """Epochs trained by all trainers."""

    def __init__(self, config: RunConfig, curve: Curve, second: Curve | None = None) -> None:
        self.config, self._curve, self._second = config, curve, second or curve
        self.next_epoch = 0
        self.model = FakeModel(self)

    def steps(self) -> Iterator[EpochRecord | None]:
        while self.next_epoch < self.config.epochs:
            value = self._curve(self.config, self.next_epoch)
            if value is None:
                raise Diverged(self.next_epoch, 0, "training loss")
            record = epoch_record(self.next_epoch, value, self._second(self.config, self.next_epoch))
            self.next_epoch += 1
            FakeTrainer.epochs_trained += 1
            yield record

    def state_dict(self) -> dict[str, Any]:
        return {"next_epoch": self.next_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.next_epoch = state["next_epoch"]


class FakeModel:
    """A model whose state is the number of epochs that its trainer has done."""

    def __init__(self, trainer: FakeTrainer) -> None:
        self._trainer = trainer

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": torch.tensor(self._trainer.next_epoch)}


def fake_test(trainer: Any, run: TrialRun) -> FinalMetrics:
    """Return accuracies on a fake test set: the epochs done at the tested states."""
    assert trainer.next_epoch == trainer.config.epochs
    assert run.best is not None
    last, chosen = trainer.config.epochs, int(run.best["epochs"])
    others = (0.5, (0.5,) * 10, 0.5, 0.5, 0.1)
    return FinalMetrics(*(TestMetrics(1.0, float(epochs), *others) for epochs in (last, chosen)))


def epoch_record(epoch: int, value: float, worst_recall: float | None = None) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        stage=1,
        lr=0.1,
        train_loss=1.0,
        val_loss=1 - value,
        val_accuracy=value,
        val_balanced_accuracy=value,
        val_many_accuracy=None,
        val_medium_accuracy=None,
        val_few_accuracy=None,
        val_macro_f1=value,
        val_worst_recall=value if worst_recall is None else worst_recall,
        val_calibration_error=1 - value,
        val_recall=(value,) * 10,
        log_u=None,
        mean_weight=(1.0,) * 10,
        mean_weight_clean=None,
        mean_weight_changed=None,
        kept_fraction=None,
        train_s=1.0,
        val_s=0.1,
        images_per_s=50.0,
    )
