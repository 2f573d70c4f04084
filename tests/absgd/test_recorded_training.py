"""The line in which absgd-train shows an epoch; test_cli.py runs whole commands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from absgd.recorded_training import scores


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (None, "stage 1  train_loss 1.0000  val_accuracy 0.5500"),
        (40, "stage 1  val_accuracy 0.5500"),
        (20, "val_accuracy 0.5500"),
        (10, "0.5500"),
        (3, ""),
    ],
)
def test_scores_in_a_narrow_terminal_leave_out_what_does_not_fit_whole(width: int | None, shown: str) -> None:
    record: Any = SimpleNamespace(stage=1, train_loss=1.0, val_accuracy=0.55)
    assert scores(record, "val_accuracy", width) == shown
