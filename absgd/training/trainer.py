"""One training run as a generator of epoch records."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from absgd.config import RunConfig
from absgd.datasets import DATASETS, ImageFiles, Images, Splits, build_batches
from absgd.errors import UserError
from absgd.losses import Prediction, build_objective
from absgd.losses.objective import LOG_U
from absgd.models import build_model, seed_dropout
from absgd.randomness import seeded_globally, torch_generator
from absgd.records import EpochRecord, TestMetrics
from absgd.training.device import prepare_device
from absgd.training.evaluation import class_metrics, count_correct, predictions, shot_accuracy
from absgd.training.optimizer import build_optimizer, clip_gradient
from absgd.training.ranks import ALONE, Ranks
from absgd.training.schedule import learning_rate

EVALUATION_BATCH = 256  # larger ones are slower on CPU: their activations leave the cache


class Diverged(RuntimeError):  # noqa: N818 - names a status, not a fault
    """The loss, or the norm of the gradient to be clipped, was no longer finite; the optimiser has not seen it."""

    def __init__(self, epoch: int, step: int, what: str = "training loss") -> None:
        super().__init__(f"non-finite {what} in epoch {epoch}, step {step}")
        self.epoch, self.step, self.what = epoch, step, what

    def __reduce__(self) -> tuple[type[Diverged], tuple[int, int, str]]:
        return Diverged, (self.epoch, self.step, self.what)


class Trainer:
    """Trains one RunConfig on its splits.

    Every random draw comes from (seed, purpose, epoch), so a run stopped after any epoch and resumed by
    `load_state_dict` gives the same numbers; on CPU, with the same number of threads, bit for bit.

    Args:
        config: the run; `config.device.threads` is set for the whole process.
        splits: training and validation images, from `load_splits(config)`.
        device: where to train; by default that of `ranks`, else what `config.device` asks for.
        ranks: the processes that train this run together; by default this one alone.

    Raises:
        UserError: if CUDA is asked for and there is none.

    Source: arXiv 2012.06951, Algorithm 1, with the two-stage schedule of the authors' repository.
    """

    def __init__(
        self, config: RunConfig, splits: Splits, device: torch.device | None = None, ranks: Ranks = ALONE
    ) -> None:
        self.config = config
        self.splits = splits
        self.device = prepare_device(config.device, device or ranks.device)
        self.ranks = ranks
        self.next_epoch = 0
        """First epoch not trained yet; equals `config.epochs` when the run is complete."""
        with seeded_globally(config.seeds.train, "init"):
            model = build_model(config.model, DATASETS[config.data.name].channels, splits.num_classes)
        self.model = ranks.synchronised(model.to(self.device))
        self._logits_of = ranks.logits_of(self.model)
        self.objective = build_objective(config, splits.class_counts).to(self.device)
        self.optimizer = build_optimizer(self.model, config.optimizer)
        self._train = build_batches(splits.train, config, self.device, ranks.share)
        self._val = build_batches(splits.val, config, self.device, ranks.share)
        self._changed_N = torch.tensor(splits.changed_N, dtype=torch.int64, device=self.device)

    def epochs(self) -> Iterator[EpochRecord]:
        """Trains epoch after epoch up to `config.epochs`, yielding the record of each.

        `state_dict` may be taken after each record.

        Raises:
            Diverged: at the first non-finite training or validation loss, or norm of a gradient to be clipped; of
                several ranks in each at the same step.
        """
        self.ranks.bring_together(self)
        while self.next_epoch < self.config.epochs and self.ranks.goes_on():
            record = self._run_epoch(self.next_epoch)
            self.next_epoch += 1
            yield record

    def test(self, images: Images | ImageFiles) -> TestMetrics:
        """Metrics of the model as it is on the test set, which `load_test` reads; of several ranks one measures it."""
        counts = count_correct(
            self.model,
            build_batches(images, self.config, self.device).evaluation(EVALUATION_BATCH),
            self.splits.num_classes,
            self.device,
        )
        metrics = class_metrics(counts)
        return TestMetrics(metrics.loss, metrics.accuracy, metrics.balanced_accuracy, metrics.recall)

    def state_dict(self) -> dict[str, Any]:
        """Everything the rest of the run depends on; tensors are the live ones, not copies."""
        return {
            "next_epoch": self.next_epoch,
            "split_hash": self.splits.hash,
            "model": self.model.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict` of this run, or of its `config.stage_one()` from before the switch.

        Raises:
            UserError: if it belongs to other data, another model or loss, or to plain training after the switch.
        """
        if state.get("split_hash") != self.splits.hash:
            raise UserError(f"expected a checkpoint of the data split {self.splits.hash[:12]}, got another")
        if self._is_plain_after_switch(state):
            raise UserError("expected a checkpoint with log u after the switch, got one of plain training")
        try:
            self.model.load_state_dict(state["model"])
            self.objective.load_state_dict(state["objective"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.next_epoch = int(state["next_epoch"])
        except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"expected a checkpoint of this model and loss: {str(error).splitlines()[0]}") from None

    def _is_plain_after_switch(self, state: dict[str, Any]) -> bool:
        epochs_trained = int(state.get("next_epoch", 0))
        in_stage_two = epochs_trained > 0 and self.objective.stage(epochs_trained - 1) == 2
        return in_stage_two and LOG_U not in state.get("objective", {})

    def _run_epoch(self, epoch: int) -> EpochRecord:
        lr = learning_rate(self.config.schedule, self.config.optimizer.lr, epoch, self.config.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        started = time.perf_counter()
        totals = self._train_epoch(epoch)
        trained = time.perf_counter()
        batches = self._val.evaluation(EVALUATION_BATCH * self.ranks.share.size)
        counts = count_correct(self.model, batches, self.splits.num_classes, self.device, self._logits_of)
        evaluated = time.perf_counter()
        metrics = class_metrics(counts)
        if not math.isfinite(metrics.loss):
            raise Diverged(epoch, totals.steps, "validation loss")
        shots = shot_accuracy(metrics.recall, self.splits.class_counts)
        return EpochRecord(
            epoch=epoch,
            stage=self.objective.stage(epoch),
            lr=lr,
            train_loss=totals.loss_sum / totals.images,
            val_loss=metrics.loss,
            val_accuracy=metrics.accuracy,
            val_balanced_accuracy=metrics.balanced_accuracy,
            val_many_accuracy=shots.many,
            val_medium_accuracy=shots.medium,
            val_few_accuracy=shots.few,
            val_recall=metrics.recall,
            log_u=self.objective.log_u,
            mean_weight=totals.mean_weight,
            mean_weight_clean=totals.mean_weight_clean,
            mean_weight_changed=totals.mean_weight_changed,
            kept_fraction=self.objective.kept_fraction,
            train_s=trained - started,
            val_s=evaluated - trained,
            images_per_s=totals.images / (trained - started),
        )

    def _train_epoch(self, epoch: int) -> _EpochTotals:
        """One pass over the training images; what is counted stays on the device until its end."""
        self.objective.start_epoch(epoch, self._predict_training)
        self.model.train()
        seed, num_classes = self.config.seeds.train, self.splits.num_classes
        seed_dropout(self.model, torch_generator(seed, "dropout", epoch, self.device))
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        # One cell for each class and for labels as they were (0) or changed by noise (1).
        weight_C2 = torch.zeros(2 * num_classes, dtype=torch.float64, device=self.device)
        count_C2 = torch.zeros(2 * num_classes, dtype=torch.float64, device=self.device)
        steps = 0
        for batch in self._train.training(seed, epoch, self.config.batch_size):
            step = self.objective(self._logits_of(batch), batch.labels_B, batch.index_B, epoch)
            if not torch.isfinite(step.loss):
                raise Diverged(epoch, steps)
            self._descend(step.loss, epoch, steps)
            scaled_B = step.weights_B.double() * len(batch.labels_B)
            cell_B = 2 * batch.labels_B + self._changed_N[batch.index_B]
            loss_sum += step.base_loss_B.double().sum()
            weight_C2.index_add_(0, cell_B, scaled_B)
            count_C2.index_add_(0, cell_B, torch.ones_like(scaled_B))
            steps += 1
        return _EpochTotals.from_sums(loss_sum, weight_C2.view(-1, 2), count_C2.view(-1, 2), steps)

    def _descend(self, loss: Tensor, epoch: int, step: int) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        max_norm = self.config.optimizer.grad_clip
        if max_norm is not None and not clip_gradient(self.model, max_norm):
            raise Diverged(epoch, step, "gradient norm")
        self.optimizer.step()

    def _predict_training(self) -> Iterator[Prediction]:
        batches = self._train.evaluation(EVALUATION_BATCH * self.ranks.share.size)
        return predictions(self.model, batches, self._logits_of)


class _EpochTotals(NamedTuple):
    loss_sum: float
    images: int
    mean_weight: tuple[float | None, ...]
    mean_weight_clean: float | None
    mean_weight_changed: float | None
    steps: int

    @classmethod
    def from_sums(cls, loss_sum: Tensor, weight_C2: Tensor, count_C2: Tensor, steps: int) -> _EpochTotals:
        clean, changed = _means(weight_C2.sum(dim=0), count_C2.sum(dim=0))
        mean_weight = _means(weight_C2.sum(dim=1), count_C2.sum(dim=1))
        return cls(loss_sum.item(), int(count_C2.sum()), mean_weight, clean, changed, steps)


def _means(sums: Tensor, counts: Tensor) -> tuple[float | None, ...]:
    return tuple(total / count if count else None for total, count in zip(sums.tolist(), counts.tolist(), strict=True))
