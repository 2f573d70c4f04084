"""The test set, read in the worker of a confirmation after its last epoch: nothing else in a search reads it."""

from __future__ import annotations

import dataclasses
from typing import Any

from absgd.datasets import load_test
from absgd.records import TEST_CHOSEN, TEST_SCALARS
from absgd.training import Trainer
from tune_runs.trial.trial_run import TrialRun


def measure_on_test_set(trainer: Trainer, run: TrialRun) -> dict[str, Any]:
    """Columns of a trial's row that are measured on the test set: after the last epoch, and after the chosen one.

    The test set is read once for both. The trainer's model is that of the last epoch before and after.

    Raises:
        UserError: if the test set cannot be read.
    """
    images = load_test(trainer.config)
    last = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    columns = dataclasses.asdict(trainer.test(images))
    if run.best is not None:
        trainer.model.load_state_dict(run.best)
        chosen = dataclasses.asdict(trainer.test(images))
        trainer.model.load_state_dict(last)
        columns |= {TEST_CHOSEN + name.removeprefix("test_"): chosen[name] for name in TEST_SCALARS}
    return columns
