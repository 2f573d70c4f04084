"""A search on a cluster whose disks are all lost: it resumes on another one from its copy on a real S3 server."""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.faults.loopback_cluster import can_hide_folders, loopback_cluster
from tests.support.cluster_searches import assert_complete, search, search_on
from tests.support.commands import has_completed
from tests.support.s3_server import ENVIRONMENT, s3_address, s3_server
from tests.support.waiting import TIMEOUT_S, wait_until
from tune_runs.run_copy.copied_files import RECORDS_FILE
from tune_runs.run_copy.storage import Storage

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not can_hide_folders(), reason="a node needs mounts of its own"
)


def test_search_resumes_on_another_cluster_with_empty_disks(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with s3_server() as server:
        storage = ("--storage", server.address())
        with loopback_cluster(2, hidden=first, **ENVIRONMENT) as cluster:
            with search_on(cluster, first, "--space", "moved.yaml", *storage) as process:
                wait_until(lambda: has_completed(first / "runs/moved/trials.parquet"), process)
                process.terminate()
                _, errors = process.communicate(timeout=TIMEOUT_S)
            assert "--storage" in errors, "the command that resumes names the storage"
        shutil.rmtree(first)
        with (
            loopback_cluster(2, hidden=second, **ENVIRONMENT) as other,
            search_on(other, second, "--resume", "runs/moved", *storage) as process,
        ):
            printed = assert_complete(second, process)
    assert "moved: restored from s3://bucket/runs" in printed


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
