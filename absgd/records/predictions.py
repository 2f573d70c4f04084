"""The predictions of a run on whole splits, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from absgd.records.schema import PREDICTION_SCHEMA

PredictedSplit = Literal["validation", "test"]
PREDICTED_SPLITS: tuple[PredictedSplit, ...] = get_args(PredictedSplit)


class SplitPredictions(NamedTuple):
    """Predictions of a run on the N images of a split, in their order, for C classes."""

    labels_N: npt.NDArray[np.int64]
    """Labels that the run was measured against, in [0, C); on validation as noise left them."""
    changed_N: npt.NDArray[np.bool_]
    """Whether noise changed the label."""
    logits_NC: npt.NDArray[np.float16]
    """Logits, where the largest of each image is 0."""


def prediction_table(splits: Mapping[PredictedSplit, SplitPredictions]) -> pa.Table:
    """Return the table of a run's predictions, split after split."""
    tables = [_split_table(name, predicted) for name, predicted in splits.items()]
    return pa.concat_tables(tables or [PREDICTION_SCHEMA.empty_table()]).unify_dictionaries()


def _split_table(name: PredictedSplit, predicted: SplitPredictions) -> pa.Table:
    num_images, num_classes = predicted.logits_NC.shape
    ends = pa.array(np.arange(num_images + 1) * num_classes, pa.int32())
    columns = [
        pa.DictionaryArray.from_arrays(pa.array(np.zeros(num_images, dtype=np.int32)), pa.array([name])),
        pa.array(np.arange(num_images)),
        pa.array(predicted.labels_N),
        pa.array(predicted.changed_N),
        pa.ListArray.from_arrays(ends, pa.array(predicted.logits_NC.reshape(-1))),
    ]
    return pa.table(columns, schema=PREDICTION_SCHEMA)
