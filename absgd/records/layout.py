"""Names of the files and folders of a run: each stands here and nowhere else."""

from __future__ import annotations

TRIALS_FILE = "trials.parquet"
EPOCHS_FILE = "epochs.parquet"
CONFIG_FILE = "config.yaml"
SPACE_FILE = "space.yaml"
ENVIRONMENT_FILE = "environment.json"
LABELS_FILE = "train_labels.parquet"
REPORT_FILE = "report.html"
SCENARIOS_FOLDER = "scenarios"
LAST_CHECKPOINT = "last.pt"
PREVIOUS_CHECKPOINT = "previous.pt"
BEST_CHECKPOINT = "best.pt"
