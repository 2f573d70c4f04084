"""One training run as a plain trainable of Ray Tune, for people who bring a Tuner of their own."""

from __future__ import annotations

import dataclasses
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from absgd.config import RunConfig, merge_dotted
from absgd.errors import UserError, shown
from absgd.records import EpochRecord
from absgd.terminal import warn

if TYPE_CHECKING:
    from absgd.training import Trainer

CHECKPOINT = "checkpoint.pt"
"""File of a trial's state in each of its checkpoints."""


def absgd_trainable(config: dict[str, Any]) -> None:
    """Train one run inside a trial of Ray Tune: ``tune.Tuner(absgd_trainable, param_space={...})``.

    Reports the metrics of each epoch (`absgd.records.EpochRecord`) with a checkpoint, from which the trial continues
    after a failure, a pause, or an exploit of population-based training: the state is that of the checkpoint, the
    settings are those of `config`. A trial that diverges reports NaN and ends. Images are read once and shared by all
    trials of a cluster that train on the same data; see `tune_runs.shared_images`.

    Args:
        config: settings of `RunConfig`, nested or by dotted key: ``{"data": {"name": "digits"}, "optimizer.lr": 0.1}``.

    Raises:
        UserError: if a setting is unknown or breaks a rule, or a checkpoint was made with other data or another model.
    """
    from ray import tune

    from absgd.training import Diverged, Trainer
    from tune_runs.shared_images import shared_images

    run = run_of(config)
    for sentence in run.unused_settings():
        warn(sentence)
    trainer = Trainer(run, shared_images(run))
    if (checkpoint := tune.get_checkpoint()) is not None:
        with checkpoint.as_directory() as folder:
            _restore(trainer, Path(folder))
    try:
        for record in trainer.epochs():
            with tempfile.TemporaryDirectory() as folder:
                _save(trainer, Path(folder))
                tune.report(dataclasses.asdict(record), checkpoint=tune.Checkpoint.from_directory(folder))
    except Diverged as error:
        warn(str(error))
        names = (field.name for field in dataclasses.fields(EpochRecord))
        tune.report({**dict.fromkeys(names, math.nan), "epoch": trainer.next_epoch})


def run_of(config: Mapping[str, Any]) -> RunConfig:
    """Return the run that the parameters of a Ray trial describe; dotted keys replace nested ones.

    >>> run_of({"data": {"name": "digits"}, "loss": {"name": "ce"}, "epochs": 9, "optimizer.lr": 0.5}).optimizer.lr
    0.5

    Raises:
        UserError: if a setting is unknown or breaks a rule, or several processes are asked for.
    """
    plain = _plain(config)
    nested = {key: value for key, value in plain.items() if "." not in key}
    dotted = {key: value for key, value in plain.items() if "." in key}
    run = RunConfig.from_dict(merge_dotted(nested, dotted, "param_space"), "param_space")
    if run.device.ranks > 1:
        raise UserError(f"expected `ranks` 1 in a trial, got {run.device.ranks} (param_space: device.ranks)")
    return run


def _plain(value: Any) -> Any:
    """Return numbers of numpy, which Ray's samplers may give, as Python's own, and paths as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, str | int | float | None):
        raise UserError(f"expected numbers, texts, lists and mappings of them, got {shown(value)} (param_space)")
    return value


def _save(trainer: Trainer, folder: Path) -> None:
    from absgd.training.checkpoint import save_checkpoint

    save_checkpoint(folder / CHECKPOINT, trainer.state_dict())


def _restore(trainer: Trainer, folder: Path) -> None:
    """Load a checkpoint, perhaps that of a trial with other settings; those of this trial hold."""
    from absgd.training.checkpoint import load_checkpoint

    groups = trainer.optimizer.param_groups
    own = [{name: value for name, value in group.items() if name != "params"} for group in groups]
    trainer.load_state_dict(load_checkpoint(folder / CHECKPOINT, trainer.device))
    for group, settings in zip(trainer.optimizer.param_groups, own, strict=True):
        group.update(settings)
