"""A search whose storage, a real S3 server, fails while it runs, and storages that nobody serves."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.cluster_searches import search
from tests.support.s3_server import ENVIRONMENT, s3_address, s3_server
from tests.support.waiting import TIMEOUT_S, wait_until
from tune_runs.run_copy.copied_files import RECORDS_FILE
from tune_runs.run_copy.storage import Storage


def test_storage_that_fails_during_a_search_is_named_once_and_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**os.environ, **ENVIRONMENT}
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        server = stack.enter_context(s3_server())
        storage = Storage(server.address(), "moved")
        words = ("--space", "moved.yaml", "--storage", server.address())
        process = stack.enter_context(search(tmp_path, environment, *words))
        wait_until(lambda: RECORDS_FILE in storage.names(), process)
        server.stop()
        printed, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, printed + errors
    assert errors.count("NETWORK_CONNECTION") == 1
    assert "it is tried again, the search goes on" in errors


@pytest.mark.parametrize(
    ("storage", "problem"),
    [
        (s3_address(port=1), "expected a storage that can be written, got .*AWS Error NETWORK_CONNECTION"),
        ("nowhere://bucket", "expected the address of a storage, got .*Unrecognized filesystem type"),
    ],
)
def test_storage_that_nobody_serves_is_one_message_before_anything_starts(
    tmp_path: Path, storage: str, problem: str
) -> None:
    environment = {**os.environ, **ENVIRONMENT}
    with search(tmp_path, environment, "--space", "moved.yaml", "--storage", storage) as process:
        printed, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, printed) == (2, "")
    assert re.fullmatch(f"absgd-tune: error: {problem}.*\\(--storage\\)\n", errors)
    assert [path.name for path in tmp_path.iterdir()] == ["moved.yaml"]
