"""The test set, read by the worker of a confirmation after its last epoch: nothing else in a search reads it."""

from __future__ import annotations

from absgd.datasets import load_test
from absgd.training import Trainer
from tune_runs.trial.trial_reports import FinalMetrics
from tune_runs.trial.trial_run import TrialRun


def measure_on_test_set(trainer: Trainer, run: TrialRun) -> FinalMetrics:
    """Measure a run on the test set: after its last epoch, and after the chosen one where its model was kept.

    The test set is read once for both. Before and after, the trainer's model is that of the last epoch.

    Raises:
        UserError: if the test set cannot be read.
    """
    images = load_test(trainer.config)
    model_after_last = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    last = trainer.test(images)
    if run.best is None:
        return FinalMetrics(last)
    trainer.model.load_state_dict(run.best)
    chosen = trainer.test(images, is_final=run.best_is_last)
    trainer.model.load_state_dict(model_after_last)
    return FinalMetrics(last, chosen)
