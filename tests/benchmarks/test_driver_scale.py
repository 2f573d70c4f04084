"""`benchmarks.driver_scale`: cloned folders are resumed as searches of many trials, and its verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.driver_scale.__main__ import scale_table, scale_verdicts
from benchmarks.driver_scale.cloned_folder import clone_trials
from benchmarks.driver_scale.pretend_search import PretendSearch, pretend_space
from benchmarks.driver_scale.resumed_search import measure_resume


def test_a_cloned_folder_is_a_search_of_many_trials(tmp_path: Path) -> None:
    PretendSearch(pretend_space(6, 5), tmp_path / "base", 2).run()
    clone_trials(tmp_path / "base", tmp_path / "many", 18)
    found = measure_resume(tmp_path / "many", 18, 5, 2)
    trials = pd.read_parquet(tmp_path / "many" / "trials.parquet")
    epochs = pd.read_parquet(tmp_path / "many" / "epochs.parquet")
    searched = trials[trials.phase == "search"]
    assert sorted(searched.number) == list(range(20))
    assert set(trials.status) == {"completed"}
    assert (epochs.groupby("trial_id").size() == 5).all()
    assert found["epoch_rows"] == 19 * 5
    assert found["end"]["n"] == 3, "two trials, and the control, which has no snapshots for them"


def row(**changes: Any) -> dict[str, Any]:
    times = {"median": 1.0, "mean": 2.0}
    return {
        "trials": 128,
        "epoch_rows": 5,
        "resume_s": 1.0,
        **dict.fromkeys(("report", "end", "ask"), times),
        "reports_per_s": 300.0,
        "bytes_per_row": 1000.0,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, []),
        ({"report": {"median": 1.5, "mean": 2.0}}, [0]),
        ({"end": {"median": 1.5, "mean": 2.0}}, [1]),
        ({"reports_per_s": 200.0, "bytes_per_row": 3000.0, "resume_s": 70.0}, [2, 3, 4]),
    ],
)
def test_verdicts_compare_sizes_and_targets(changes: dict[str, Any], missed: list[int]) -> None:
    rows = [row(), row(trials=10_240, **changes)]
    assert [place for place, one in enumerate(scale_verdicts(rows)) if not one.is_met] == missed
    assert "| 10,240 | 5 | " in scale_table(rows)
