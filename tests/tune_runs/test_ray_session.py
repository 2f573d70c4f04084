"""What starting and joining Ray must never do, and how a refusal reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tune_runs.ray_session import _is_about_token

ROOT = Path(__file__).parents[2]
RAY_STOP = re.compile(r"""\bray["',\s\]\[()]+stop\b|AutoscalingCluster""")
"""The command in a shell or as a list of words, and a class of Ray's that runs it."""
EXECUTED = [
    path
    for folder in ("absgd", "tune_runs", "analysis", "benchmarks", "scripts", "docs/examples", "tests")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix in {"", ".py", ".sh", ".sbatch", ".yaml"} and path != Path(__file__)
]


def without_comments(text: str) -> str:
    return re.sub(r"#[^\n]*", "", text)


def test_ray_stop_is_called_nowhere() -> None:
    """It ends every Ray of the user on the machine, those of other jobs and of other people's tests too."""
    assert len(EXECUTED) > 50
    assert [path for path in EXECUTED if RAY_STOP.search(without_comments(path.read_text()))] == []


@pytest.mark.parametrize("call", ["ray stop --force", '["ray", "stop"]', "'ray', 'stop'", "AutoscalingCluster()"])
def test_ray_stop_would_be_found(call: str) -> None:
    assert RAY_STOP.search(call)


def test_reason_is_found_at_the_depth_where_ray_tells_it() -> None:
    deep = RuntimeError("RPC error: InvalidAuthToken: Authentication token is missing or incorrect")
    shallow = ConnectionError("Failed to connect to Ray cluster")
    assert not _is_about_token(shallow)
    shallow.__cause__ = deep
    assert _is_about_token(shallow)
