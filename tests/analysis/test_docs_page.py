"""docs/analysis.md shows every call, and every column of the two most used tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import Runs

PAGE = (Path(__file__).parents[2] / "docs" / "analysis.md").read_text()
PUBLIC = [name for name in dir(Runs) if not name.startswith("_")]
INTERNAL = {"scored", "completed", "searched", "configurations", "comparisons", "shown", "whole", "cut", "key"}
INTERNAL |= {"space_of", "confirmation_of", "rows", "first", "parameters"}


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - INTERNAL))
def test_page_has_every_call(name: str) -> None:
    assert f"runs.{name}" in PAGE or name in ("rule", "folders")


def test_page_shows_the_results_of_best_and_compare(full: Runs) -> None:
    columns = {*full.best().columns, *full.compare().columns}
    explained = {"folder", "run", "scenario", "trial_id", "noise_type", "noise_rate", "test_at", "loss", "num_diverged"}
    assert {name for name in columns - explained if name not in PAGE} <= {"num_unpaired", "std", "num_scenarios"}
