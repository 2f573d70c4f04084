"""The columns of the tables of a run; RunConfig, EpochRecord and TestMetrics give those of settings, epochs, tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, get_type_hints

import pyarrow as pa

from absgd.records.column_types import column_type
from absgd.records.config_columns import CONFIG_COLUMNS
from absgd.records.metrics import INHERITED, METRICS, TEST_CHOSEN, TEST_SCALARS, EpochRecord, TestMetrics


def _fields_of(record: type[Any]) -> dict[str, pa.DataType]:
    """Return name -> type of the columns that a dataclass fills."""
    hints = get_type_hints(record)
    return {field.name: column_type(hints[field.name]) for field in dataclasses.fields(record)}


def _epoch_columns() -> Iterator[tuple[str, pa.DataType]]:
    """Yield the columns of EpochRecord, its metrics sorted by name, and `inherited` after the stage."""
    metrics = iter(sorted(METRICS))
    columns = _fields_of(EpochRecord)
    for name in columns:
        shown = next(metrics) if name in METRICS else name
        yield shown, columns[shown]
        if name == "stage":
            yield INHERITED, pa.bool_()  # trained by the trunk, not by this trial


TRIAL_SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("scenario", pa.string()),
        ("trial_id", pa.string()),
        ("number", pa.int64()),  # of the trial in its Optuna study; null for runs outside it
        ("phase", pa.string()),
        ("candidate", pa.string()),  # of a confirmation, or the tuned control that a run belongs to; else null
        ("pair", pa.int64()),  # of seeds: 0 is that of `base.seeds`, k has both seeds + k; null outside a search
        ("status", pa.string()),
        ("error", pa.string()),
        *((column, kind) for column, (_, kind) in CONFIG_COLUMNS.items()),
        ("metric", pa.string()),
        ("metric_last", pa.float64()),  # the metric at the last epoch trained
        ("metric_chosen", pa.float64()),  # the metric at the epoch best on validation
        ("chosen_epoch", pa.int64()),
        ("second_metric", pa.string()),  # this and the two following: null in a search for one metric
        ("second_last", pa.float64()),  # the second metric at the last epoch trained
        ("pareto_rule", pa.string()),  # how one of the trials on the Pareto front is chosen: `SearchObjective.rule`
        *_fields_of(TestMetrics).items(),  # after the last epoch
        *((TEST_CHOSEN + name.removeprefix("test_"), pa.float64()) for name in TEST_SCALARS),
        ("epochs_trained", pa.int64()),
        ("epochs_inherited", pa.int64()),
        ("restarts", pa.int64()),  # times its process was lost and another one continued it
        ("wall_s", pa.float64()),
        ("started_at", pa.timestamp("ms", tz="UTC")),
        ("class_counts", pa.list_(pa.int64())),  # training images of each class, after imbalance and noise
        ("split_hash", pa.string()),
        ("stage_one_key", pa.string()),
    ]
)

EPOCH_SCHEMA = pa.schema(
    [("run", pa.string()), ("scenario", pa.string()), ("trial_id", pa.string()), *_epoch_columns()]
)

CLASS_SCHEMA = pa.schema(
    [
        ("class", pa.int64()),  # the label
        ("name", pa.string()),  # the label again where the data has no names
        ("num_train", pa.int64()),  # training images, after imbalance and noise
        ("num_val", pa.int64()),  # validation images
    ]
)

LABEL_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),  # of the image in the training part of the data set
        ("label", pa.int64()),  # as trained on
        ("changed", pa.bool_()),  # by label noise
    ]
)

PREDICTION_SCHEMA = pa.schema(
    [
        ("split", pa.dictionary(pa.int32(), pa.string())),  # `validation` or `test`
        ("index", pa.int64()),  # of the image in the split, from 0
        ("label", pa.int64()),  # that the run was measured against
        ("changed", pa.bool_()),  # by label noise
        ("logits", pa.list_(pa.float16())),  # one for each class; the largest is 0
    ]
)

EARLIER_SPREAD = ("subject_trial", "earlier_variance", "earlier_df")
"""Columns of `CONFIRMATION_SCHEMA` that tables of earlier versions lack: their claims did without."""
CONFIRMATION_SCHEMA = pa.schema(
    [
        ("scenario", pa.string()),
        ("subject", pa.string()),  # the candidate that claims are about
        ("look", pa.int64()),  # number of pairs planned so far, from 1
        ("rival", pa.string()),  # has a row at each look until it has left
        ("on", pa.string()),  # `test` or `validation`: where the scores are from
        ("metric", pa.string()),  # the metric of the search; on `test` its counterpart there is compared
        ("n", pa.int64()),  # pairs on which both completed
        ("num_left_out", pa.int64()),  # pairs on which one of the two ended without completing
        ("difference", pa.float64()),  # this and the following: fields of absgd.comparisons.RivalComparison
        ("std", pa.float64()),
        ("df", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("p_value", pa.float64()),
        ("finding", pa.string()),
        ("left", pa.string()),  # why no further pairs of this rival are trained, see `LeftReason`; null: still in play
        ("pairs_needed", pa.int64()),
        ("margin", pa.float64()),  # in units of the metric
        ("level", pa.float64()),  # of all claims of the search
        ("subject_trial", pa.string()),  # the trial of the search that the subject is
        ("earlier_variance", pa.float64()),  # of a paired difference on the pairs of the search; null: not known
        ("earlier_df", pa.float64()),  # its degrees of freedom
    ]
)
