"""Read the predictions of one run: a file that is damaged, or not what it should be, is refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from absgd.errors import UserError
from absgd.paths import is_endless
from absgd.records import PREDICTED_SPLITS, PREDICTION_SCHEMA, PredictedSplit, SplitPredictions
from analysis.frames.complaints import reason_of

MOST_LOGITS = 2**30
"""Most logits of a file, 2 GiB in float16: five times those of the largest data set in use, iNaturalist 2018."""
_ROWS_AT_ONCE = 4096


def read_predictions(file: Path, num_classes: int | None = None) -> dict[PredictedSplit, SplitPredictions]:
    """Return the predictions of each split that a file has, its images in order.

    The file is read piece by piece and given up at the first piece that is wrong: a small file that claims to be huge
    costs little.

    Args:
        file: parquet file with the columns of `absgd.records.PREDICTION_SCHEMA`; others are not read.
        num_classes: classes of the run; None: as many as the first image has logits.

    Raises:
        UserError: naming what is wrong, without the file.
    """
    if is_endless(file) or not file.is_file():
        raise UserError("it is not a regular file")
    try:
        with pq.ParquetFile(file) as parquet:
            _check_columns(parquet.schema_arrow)
            return _splits(_checked_pieces(parquet, num_classes))
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(reason_of(error)) from None


def _splits(pieces: list[pa.Table]) -> dict[PredictedSplit, SplitPredictions]:
    if not pieces:
        raise UserError("it has no rows")
    table = pa.concat_tables(pieces)
    names = pc.cast(table["split"], pa.string())
    found = set(pc.unique(names).to_pylist())
    unknown = found - set(PREDICTED_SPLITS)
    if unknown:
        raise UserError(f"no such split as {sorted(unknown)[0][:40]!r}")
    return {name: _split(table.filter(pc.equal(names, name)), name) for name in PREDICTED_SPLITS if name in found}


def _check_columns(schema: pa.Schema) -> None:
    """Refuse a column that is absent or has another type; a list's items may have any name."""
    for field in PREDICTION_SCHEMA:
        found = schema.field(field.name).type if schema.names.count(field.name) == 1 else None
        if found is None:
            raise UserError(f"it has no column `{field.name}`")
        is_list = pa.types.is_list(found) and pa.types.is_list(field.type) and found.value_type == field.type.value_type
        is_text = field.name == "split" and found == pa.string()
        if not (is_list or is_text or found == field.type):
            raise UserError(f"column `{field.name}` holds {found} instead of {field.type}")


def _checked_pieces(parquet: pq.ParquetFile, num_classes: int | None) -> list[pa.Table]:
    pieces, num_logits = list[pa.Table](), 0
    for batch in parquet.iter_batches(_ROWS_AT_ONCE, columns=PREDICTION_SCHEMA.names):
        piece = pa.Table.from_batches([batch]).select(PREDICTION_SCHEMA.names)
        piece.validate(full=True)  # also that indices are inside a dictionary, which operations take for granted
        if any(column.null_count for column in piece.columns):
            raise UserError("values are missing")
        if not piece.num_rows:
            continue
        lengths = pc.list_value_length(piece["logits"])
        num_classes = lengths[0].as_py() if num_classes is None else num_classes
        if pc.any(pc.not_equal(lengths, num_classes)).as_py() or not num_classes:
            raise UserError(f"an image has another number of logits than {num_classes}")
        num_logits += piece.num_rows * num_classes
        if num_logits > MOST_LOGITS:
            raise UserError(f"it has more than {MOST_LOGITS:,} logits")
        pieces.append(piece)
    return pieces


def _split(table: pa.Table, name: PredictedSplit) -> SplitPredictions:
    index_N = table["index"].to_numpy()
    order_N = np.argsort(index_N, kind="stable")
    if not np.array_equal(index_N[order_N], np.arange(len(index_N))):
        raise UserError(f"the `index` of {name} does not count its {len(index_N):,} images from 0")
    logits = pa.concat_arrays([chunk.flatten() for chunk in table["logits"].chunks])
    logits_NC = logits.to_numpy(zero_copy_only=False).reshape(len(index_N), -1)[order_N]
    if not np.isfinite(logits_NC).all():
        raise UserError(f"a logit of {name} is not finite")
    labels_N = table["label"].to_numpy()[order_N]
    if labels_N.min() < 0 or labels_N.max() >= logits_NC.shape[1]:
        raise UserError(f"a label of {name} is outside its {logits_NC.shape[1]} classes")
    return SplitPredictions(labels_N, table["changed"].to_numpy()[order_N], logits_NC)
