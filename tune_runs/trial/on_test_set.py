"""The test set, read by the worker of a confirmation after its last epoch: nothing else in a search reads it."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path

import pyarrow as pa

from absgd import records
from absgd.datasets import load_test
from absgd.training import Trainer
from absgd.training.predicting import predict
from tune_runs.trial.disk_budget import check_room
from tune_runs.trial.trial_reports import FinalMetrics
from tune_runs.trial.trial_run import TrialRun


def measure_on_test_set(trainer: Trainer, run: TrialRun, file: str | None = None) -> FinalMetrics:
    """Measure a run on the test set: after its last epoch, and after the chosen one where its model was kept.

    The test set is read once for both. Before and after, the trainer's model is that of the last epoch. Its predictions
    are on disk before the driver gets the metrics, so that a run killed between the two is measured again.

    Args:
        trainer: the run's.
        run: the run.
        file: parquet file of the predictions after the last epoch; None: they are not kept.

    Raises:
        UserError: if the test set cannot be read.
    """
    images = load_test(trainer.config)
    if file is None:
        found = FinalMetrics(trainer.test(images))
    else:
        metrics, table = predict(trainer, images)
        assert metrics is not None, "the test set was read"
        found = _written(FinalMetrics(metrics), table, Path(file), run)
    if run.best is None:
        return found
    model_after_last = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.model.load_state_dict(run.best)
    chosen = trainer.test(images, is_final=run.best_is_last)
    trainer.model.load_state_dict(model_after_last)
    return dataclasses.replace(found, chosen=chosen)


def _written(found: FinalMetrics, table: pa.Table, file: Path, run: TrialRun) -> FinalMetrics:
    """Write predictions, and return the metrics with a note if they could not be written: the run counts without."""
    content = records.table_bytes(table)
    try:
        if run.store:
            run.store.put(file, bytes(content))
            return found
        if run.use:
            check_room(run.use, len(content))
        file.parent.mkdir(parents=True, exist_ok=True)
        records.write_atomically(file, content)
    except OSError as error:
        note = f"cannot write {file}: {error.strerror or error}: the run has no predictions"
        return dataclasses.replace(found, notes=(note,), is_over_budget=error.errno == errno.EDQUOT)
    return found
