"""A driver on curves, killed at about every third write; tests/tune_runs/driver has a few of these kills."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.whole_searches import (
    WholeSearch,
    assert_killed_confirmation_ends_as,
    assert_killed_search_ends_as,
    whole_confirmation,
    whole_search,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> WholeSearch:
    return whole_search(tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory: pytest.TempPathFactory) -> WholeSearch:
    return whole_confirmation(tmp_path_factory.mktemp("runs") / "whole")


@pytest.mark.parametrize("part", range(40))
def test_search_killed_at_any_write_ends_as_an_uninterrupted_one(
    whole: WholeSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    moment = 1 + part * (whole.writes - 1) // 39
    assert_killed_search_ends_as(whole, tmp_path / "whole", monkeypatch, moment)


@pytest.mark.parametrize("part", range(30))
def test_confirmation_killed_at_any_write_ends_as_an_uninterrupted_one(
    confirmed: WholeSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    moment = confirmed.writes_before - 5 + part * (confirmed.writes - confirmed.writes_before + 5) // 29
    assert_killed_confirmation_ends_as(confirmed, tmp_path / "whole", monkeypatch, moment)
