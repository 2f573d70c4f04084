"""The command that resumes a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_tuner import make_space
from tune_runs.request.search_request import SearchRequest

REQUESTS: dict[str, dict[str, Any]] = {
    "absgd-tune --resume 'runs/my run'": {},
    "absgd-tune --resume 'runs/my run' --address 10.0.0.1:6379": {"address": "10.0.0.1:6379"},
    "absgd-tune --confirm 'runs/my run'": {"searches": False},
    "absgd-tune --confirm 'runs/my run' --address auto": {"searches": False, "address": "auto"},
}


@pytest.mark.parametrize("expected", REQUESTS)
def test_command_that_resumes(expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = SearchRequest(make_space(), tmp_path / "runs" / "my run", **REQUESTS[expected])
    assert request.resume_command == expected
