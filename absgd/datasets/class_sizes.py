"""The table of the classes of a run: their names and sizes."""

from __future__ import annotations

import pyarrow as pa

from absgd import records
from absgd.config import RunConfig
from absgd.datasets.class_names import class_names
from absgd.datasets.splits import Splits


def class_sizes(config: RunConfig, splits: Splits) -> pa.Table:
    """Return the table that a run folder keeps of its classes.

    Raises:
        UserError: if the names of the classes cannot be read.
    """
    names = class_names(config.data, splits.num_classes)
    return records.class_table(names, splits.class_counts, splits.val_counts)
