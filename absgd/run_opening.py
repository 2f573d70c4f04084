"""The run that absgd-train trains: begun in a new folder, or continued where its folder says."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from absgd.config import RunConfig
from absgd.config.locations import with_recorded_places
from absgd.datasets import Splits, check_test_set
from absgd.errors import UserError
from absgd.export.run_export import check_exports
from absgd.training import RunFolder, Trainer
from absgd.training.device import out_of_memory_as_user_error, prepare_device
from absgd.training.device_options import machine_of, resolve_device_options
from absgd.training.evaluation import absent_metrics
from absgd.training.local_ranks import local_ranks


def begin_run(
    config: RunConfig, path: Path, metric: str, reads_test: bool, exports: tuple[Path, ...], ranks: ExitStack
) -> tuple[RunFolder, Trainer]:
    """Create the folder of a new run, once all that can be refused before training is known to be possible.

    Args:
        config: the run.
        path: its folder, which does not exist.
        metric: validation metric of its best checkpoint.
        reads_test: whether the test set will be read; its images are then checked now.
        exports: files to which the trained model will be written.
        ranks: takes over the other processes of the run, and ends them.

    Raises:
        UserError: if the data, the device, the metric, the exports or the folder are not as the run needs them.
    """
    config = RunConfig.from_dict(with_recorded_places(config.to_dict()))
    trainer = _trainer(config, reads_test, ranks)
    _check_group(metric, trainer.splits)
    check_exports(exports, trainer, metric)
    return RunFolder.create(path, trainer, metric), trainer


def continue_run(
    folder: RunFolder, device: str | None, reads_test: bool, exports: tuple[Path, ...], ranks: ExitStack
) -> Trainer:
    """Return the trainer of a recorded run, at the epoch at which it stopped.

    Args:
        folder: the record.
        device: replaces `device.type`; None: as recorded.
        reads_test, exports, ranks: as for `begin_run`.

    Raises:
        UserError: if the data, the device, the exports or the checkpoints are not as the run needs them.
    """
    config = folder.config.with_values({"device.type": device}, "--device") if device else folder.config
    trainer = _trainer(config, reads_test, ranks)
    if folder.can_continue:
        with out_of_memory_as_user_error(config):
            folder.restore(trainer)
    check_exports(exports, trainer, folder.metric)
    return trainer


def _trainer(config: RunConfig, reads_test: bool, ranks: ExitStack) -> Trainer:
    if reads_test:
        check_test_set(config)
    joined, splits = ranks.enter_context(local_ranks(config))
    if config.device.has_options:
        say_device_options(config)
    with out_of_memory_as_user_error(config):
        return Trainer(config, splits, ranks=joined)


def say_device_options(config: RunConfig) -> None:
    """Print how the options of `device` resolve on this machine, to standard error.

    Raises:
        UserError: if this machine lacks what they ask for.
    """
    device = prepare_device(config.device)
    options = resolve_device_options(config.device, config.can_be_captured, machine_of(device))
    print(f"on {device.type}: {options.describe()}", file=sys.stderr)


def _check_group(metric: str, splits: Splits) -> None:
    """Refuse a metric over a group of classes that is empty in the data."""
    if metric in absent_metrics(splits.class_counts, splits.val_counts):
        raise UserError(
            f"expected a metric that the run has, got `{metric}`: "
            "no class in that group has validation images (--metric)"
        )
