"""The folder of `benchmarks.report_scale` is whole, and its verdict compares with the target."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import load
from benchmarks.report_scale.__main__ import scale_verdicts
from benchmarks.report_scale.many_scenarios import write_scenarios


def test_made_up_scenarios_have_searches_and_confirmations(tmp_path: Path) -> None:
    runs = load(write_scenarios(tmp_path / "many", 2))
    assert runs.problems == ()
    assert runs.comparisons.groupby("scenario").n.agg(set).tolist() == [{5}, {5}]
    assert set(runs.best("scenario").configuration) <= {"best-1", "best-2"}


@pytest.mark.parametrize(("seconds", "is_met"), [(9.0, True), (11.0, False)])
def test_verdict_counts_loading_and_reporting(seconds: float, is_met: bool) -> None:
    rows = [{"scenarios": 120, "rounds": [{"load_cpu_s": 0.5, "report_cpu_s": seconds - 0.5}]}]
    assert [verdict.is_met for verdict in scale_verdicts(rows)] == [is_met]
    assert [verdict.is_met for verdict in scale_verdicts([{"scenarios": 10, "rounds": []}])] == [None]
