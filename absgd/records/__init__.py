"""What a run records: names of files, columns and metrics, and how they reach the disk.

Every package may import it; it imports no torch.
"""

from absgd.records.atomic import write_atomically
from absgd.records.layout import (
    BEST_CHECKPOINT,
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    EPOCHS_FILE,
    LABELS_FILE,
    LAST_CHECKPOINT,
    PREVIOUS_CHECKPOINT,
    REPORT_FILE,
    SCENARIOS_FOLDER,
    SPACE_FILE,
    TRIALS_FILE,
)
from absgd.records.metrics import (
    DEFAULT_METRIC,
    METRICS,
    TEST_CHOSEN,
    EpochRecord,
    TestMetrics,
    chosen_epoch,
    summary_columns,
    test_metric_of,
)
from absgd.records.schema import (
    COLUMN_OF,
    CONFIG_COLUMNS,
    EPOCH_SCHEMA,
    LABEL_SCHEMA,
    TRIAL_SCHEMA,
    Phase,
    Status,
    config_columns,
    config_of,
)
from absgd.records.tables import as_table, label_table, read_rows, write_table

__all__ = [
    "BEST_CHECKPOINT",
    "COLUMN_OF",
    "CONFIG_COLUMNS",
    "CONFIG_FILE",
    "DEFAULT_METRIC",
    "ENVIRONMENT_FILE",
    "EPOCHS_FILE",
    "EPOCH_SCHEMA",
    "LABELS_FILE",
    "LABEL_SCHEMA",
    "LAST_CHECKPOINT",
    "METRICS",
    "PREVIOUS_CHECKPOINT",
    "REPORT_FILE",
    "SCENARIOS_FOLDER",
    "SPACE_FILE",
    "TEST_CHOSEN",
    "TRIALS_FILE",
    "TRIAL_SCHEMA",
    "EpochRecord",
    "Phase",
    "Status",
    "TestMetrics",
    "as_table",
    "chosen_epoch",
    "config_columns",
    "config_of",
    "label_table",
    "read_rows",
    "summary_columns",
    "test_metric_of",
    "write_atomically",
    "write_table",
]
