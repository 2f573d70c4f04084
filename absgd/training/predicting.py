"""The predictions of a trained run on validation and test images, measured in the same pass as its test metrics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from absgd.datasets import ImageFiles, Images
from absgd.records import PredictedSplit, SplitPredictions, TestMetrics, prediction_table
from absgd.training.kept_logits import KeptLogits
from absgd.training.trainer import Trainer


class TestedPredictions(NamedTuple):
    """Test metrics of a run and its predictions."""

    metrics: TestMetrics | None
    """None where the test set was not read."""
    table: pa.Table
    """Predictions on validation and, where it was read, test; columns of `absgd.records.PREDICTION_SCHEMA`."""


def predict(trainer: Trainer, test: Images | ImageFiles | None) -> TestedPredictions:
    """Return the predictions of a run after its last epoch; one rank alone makes them.

    Args:
        trainer: a run that is trained to its last epoch.
        test: the test set, from `load_test`; None: it is not read.
    """
    splits = trainer.splits
    on_val, on_test = KeptLogits(), KeptLogits()
    trainer.test(splits.val, kept=on_val)
    parts: dict[PredictedSplit, SplitPredictions] = {
        "validation": SplitPredictions(splits.val.labels_N, splits.val_changed_M, on_val.array())
    }
    metrics = None
    if test is not None:
        metrics = trainer.test(test, kept=on_test)
        clean_N = np.zeros(len(test), dtype=np.bool_)
        parts["test"] = SplitPredictions(test.labels_N, clean_N, on_test.array())
    return TestedPredictions(metrics, prediction_table(parts))
