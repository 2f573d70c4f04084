"""One training run as a generator of epoch records."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from typing import Any

import torch
from torch import nn

from absgd.config import RunConfig
from absgd.datasets import DATASETS, BatchesOf, ImageFiles, Images, Splits, build_batches
from absgd.datasets.registered_dataset import side_of
from absgd.errors import UserError
from absgd.losses import Prediction, build_objective
from absgd.losses.objective import LOG_U
from absgd.models import build_model, seed_dropout
from absgd.randomness import seeded_globally, torch_generator
from absgd.records import EpochRecord, TestMetrics
from absgd.training.cuda_graph import CudaGraphRecorder, GraphStep
from absgd.training.deferred_step import DeferredStep
from absgd.training.device import prepare_device
from absgd.training.device_options import machine_of, resolve_device_options
from absgd.training.evaluation import LogitsOf, class_metrics, count_by_batch, count_correct, predictions, shot_accuracy
from absgd.training.kept_logits import KeptLogits
from absgd.training.lr_schedule import learning_rate
from absgd.training.network import Network
from absgd.training.optimizer import build_optimizer, load_optimizer_state, optimizer_state, set_learning_rate
from absgd.training.posthoc_adjustment import adjusted, log_prior_shift
from absgd.training.ranks.alone import ALONE, Ranks
from absgd.training.sharpness import build_learner
from absgd.training.step import Diverged, EpochSums, EpochTotals, ExactStep, TrainingStep


class Trainer:
    """Trains one RunConfig on its splits.

    Every random draw comes from (seed, purpose, epoch), so a run stopped after any epoch and resumed by
    `load_state_dict` gives the same numbers; on CPU, with the same number of threads, bit for bit. `config.device` can
    ask for faster options, whose numbers are close to the exact ones (docs/speed.md).

    Args:
        config: the run; `config.device.threads` is set for the whole process.
        splits: training and validation images, from `load_splits(config)`.
        device: where to train; by default the device of `ranks`, else the one that `config.device` asks for.
        ranks: the processes that train this run together; by default this one alone.
        batches_of: makes the run's batches; runs that take turns in one process can share them.

    Raises:
        UserError: if CUDA is asked for, or needed by an option, and there is none; if logits are to be adjusted post
            hoc and a class has no training image.

    Source: arXiv 2012.06951, Algorithm 1, with the two-stage schedule of the authors' repository.
    """

    def __init__(
        self,
        config: RunConfig,
        splits: Splits,
        device: torch.device | None = None,
        ranks: Ranks = ALONE,
        batches_of: BatchesOf = build_batches,
    ) -> None:
        self.config = config
        self.splits = splits
        self.device = prepare_device(config.device, device or ranks.device)
        self.ranks = ranks
        self.next_epoch = 0
        """First epoch not trained yet; equals `config.epochs` when the run is complete."""
        with seeded_globally(config.seeds.train, "init"):
            images = DATASETS[config.data.name]
            side = side_of(config.data, images)
            model = build_model(config.resolved().model, images.channels, splits.num_classes, side)
        self.device_options = resolve_device_options(config.device, config.can_be_captured, machine_of(self.device))
        """Resolved options of the device."""
        self.model = ranks.synchronised(model.to(self.device))
        self._logits_of = ranks.logits_of(self.model, self._network)
        self._posthoc_C = log_prior_shift(splits.class_counts, config.loss.posthoc_tau, self.device)
        self.objective = build_objective(config, splits.class_counts).to(self.device)
        self.optimizer = build_optimizer(self.model, config.optimizer, fused=self.device_options.fused_optimizer)
        self._train = batches_of(splits.train, config, self.device, ranks.share)
        self._val = batches_of(splits.val, config, self.device, ranks.share)
        self._changed_N = torch.tensor(splits.changed_N, dtype=torch.int64, device=self.device)
        self._step = self._new_step()

    def epochs(self) -> Iterator[EpochRecord]:
        """Train epoch after epoch up to `config.epochs`, yielding the record of each.

        `state_dict` may be taken after each record.

        Raises:
            Diverged: as `steps`.
        """
        return (record for record in self.steps() if record is not None)

    def steps(self) -> Iterator[EpochRecord | None]:
        """Train like `epochs`, but yield None after each batch of training and validation, so that runs can take turns.

        Raises:
            Diverged: at the first non-finite training or validation loss, or norm of a gradient to be clipped; with
                several ranks, in each at the same step.
        """
        if not self.ranks.has_next_epoch():  # waits while rank 0 does something else first, such as a test
            return
        self.ranks.broadcast_state(self)
        while self.next_epoch < self.config.epochs and self.ranks.has_next_epoch():
            record = yield from self._run_epoch(self.next_epoch)
            self.next_epoch += 1
            yield record

    def test(self, images: Images | ImageFiles, is_final: bool = True, kept: KeptLogits | None = None) -> TestMetrics:
        """Metrics of the current model on the test set, which `load_test` reads; measured by one rank alone.

        Args:
            images: the test set.
            is_final: whether the model is that of the last epoch, whose logits are adjusted post hoc.
            kept: collects the logits, as they are evaluated; None: they are not kept.
        """
        whole = self._evaluated(ALONE.logits_of(self.model, self._network), is_final)
        whole = kept.of(whole) if kept else whole
        batches = build_batches(images, self.config, self.device).evaluation(self.device_options.evaluation_batch)
        counts = count_correct(self.model, batches, self.splits.num_classes, self.device, whole)
        metrics = class_metrics(counts)
        return TestMetrics(*metrics)

    def state_dict(self) -> dict[str, Any]:
        """Everything the rest of the run depends on; tensors are the live ones, not copies."""
        return {
            "next_epoch": self.next_epoch,
            "split_hash": self.splits.hash,
            "model": self.model.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": optimizer_state(self.optimizer),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict` of this run, or of its `config.stage_one()` from before the switch.

        Raises:
            UserError: if it belongs to other data, another model or loss, or to plain training after the switch.
        """
        if state.get("split_hash") != self.splits.hash:
            raise UserError(f"expected a checkpoint of the data split {self.splits.hash[:12]}, got another")
        try:
            if self._is_plain_after_switch(state):
                raise UserError(
                    "expected a checkpoint with log u, the moving average of stage two, got one of plain training"
                )
            self.model.load_state_dict(state["model"])
            self.objective.load_state_dict(state["objective"])
            load_optimizer_state(self.optimizer, state["optimizer"])
            self._step = self._new_step()  # a captured graph would still use the earlier tensors
            self.next_epoch = int(state["next_epoch"])
        except UserError:
            raise
        except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"expected a checkpoint of this model and loss: {str(error).splitlines()[0]}") from None

    def _is_plain_after_switch(self, state: dict[str, Any]) -> bool:
        epochs_trained = int(state.get("next_epoch", 0))
        in_stage_two = epochs_trained > 0 and self.objective.stage(epochs_trained - 1) == 2
        return in_stage_two and LOG_U not in state.get("objective", {})

    def _run_epoch(self, epoch: int) -> Generator[None, None, EpochRecord]:
        lr = learning_rate(self.config.schedule, self.config.optimizer.lr, epoch, self.config.epochs)
        set_learning_rate(self.optimizer, lr)
        started = time.perf_counter()
        totals = yield from self._train_epoch(epoch)
        trained = time.perf_counter()
        validation = self._val.evaluation(self._evaluation_batch)
        num_classes = self.splits.num_classes
        logits_of = self._evaluated(self._logits_of, is_final=epoch == self.config.epochs - 1)
        counts = yield from count_by_batch(self.model, validation, num_classes, self.device, logits_of)
        metrics = class_metrics(counts)
        self.ranks.check()
        evaluated = time.perf_counter()
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
            val_macro_f1=metrics.macro_f1,
            val_worst_recall=metrics.worst_recall,
            val_calibration_error=metrics.calibration_error,
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

    def _train_epoch(self, epoch: int) -> Generator[None, None, EpochTotals]:
        """One pass over the training images; its sums stay on the device until its end."""
        self.objective.start_epoch(epoch, self._predict_training)
        self.model.train()
        seed = self.config.seeds.train
        seed_dropout(self.model, torch_generator(seed, "dropout", epoch, self.device))
        self._step.begin(epoch)
        for draw in self._train.draws(seed, epoch, self.config.batch_size):
            self._step(draw)
            yield
        return self._step.totals()

    def _new_step(self) -> TrainingStep:
        """The exact step, or the faster one that the options ask for."""
        parts = (self.model, self._logits_of, self.objective, self.optimizer)
        learner = build_learner(self.config.optimizer, *parts)
        sums = EpochSums(self.splits.num_classes, self._changed_N)
        batch_of = self._train.batch_of
        if self.device_options.cuda_graph:
            return GraphStep(learner, sums, batch_of, self.config.batch_size, CudaGraphRecorder())
        kind = DeferredStep if self.device_options.deferred_checks else ExactStep
        return kind(learner, sums, batch_of)

    def _evaluated(self, logits_of: LogitsOf, is_final: bool) -> LogitsOf:
        """Logits as they are evaluated: after the last epoch adjusted post hoc."""
        return logits_of if self._posthoc_C is None or not is_final else adjusted(logits_of, self._posthoc_C)

    def _predict_training(self) -> Iterator[Prediction]:
        return predictions(self.model, self._train.evaluation(self._evaluation_batch), self._logits_of)

    @property
    def _evaluation_batch(self) -> int:
        """Images of a batch in evaluation, of all ranks together."""
        return self.device_options.evaluation_batch * self.ranks.share.size

    def _network(self, model: nn.Module) -> Network:
        return Network(model, self.device_options, self.device)
