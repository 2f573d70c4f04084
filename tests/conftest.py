"""Settings and fixtures of every test, quick or in tests/system."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before torch is imported, here or in a process that a test starts: two xdist workers with a thread for each core
# would wait for each other. Tests of several threads set their number themselves.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Waiting threads sleep: by default they spin, and two of them took 25 times as long beside other tests.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch
from hypothesis import settings

from absgd.registry.dataset_table import DATASETS
from absgd.registry.loss_table import LOSSES
from absgd.registry.model_table import MODELS
from absgd.registry.plugin_table import PLUGINS
from tune_runs.ray_cluster.session import set_environment

set_environment(is_local=True)  # before any test module imports Ray
os.environ["RAY_prestart_worker_first_driver"] = "0"  # noqa: SIM112 - of clusters that tests start; `ray_session` sets it
os.environ.pop("RAY_preload_python_modules")
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # a call into Ray that was meant for a fake fails, and starts no cluster
# By default Ray's workers wait for every other process of a busy machine. Ray spells the variable so.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112

# Hundreds of processes that tests start import the same modules: they keep them compiled, whatever is set outside.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell starts its background jobs with SIGINT ignored, and what they start inherits that: no process would notice the
# Ctrl-C that a test sends it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# By default an example may take 200 ms, which says how busy the machine is and nothing about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_configure() -> None:
    """Put temporary folders into memory where that has room: tests make and remove tens of thousands of small files."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


@pytest.fixture
def own_tables() -> Iterator[None]:
    """Take parts of plugins that a test loads out of the tables again."""
    tables: list[dict[str, Any]] = [LOSSES, MODELS, DATASETS, PLUGINS]
    earlier = [dict(table) for table in tables]
    yield
    for table, entries in zip(tables, earlier, strict=True):
        table.clear()
        table.update(entries)


@pytest.fixture(autouse=True)
def threads_of_torch() -> Iterator[None]:
    """Give torch back its number of threads: a run that sets it here would change the bits of later tests."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def no_fsync() -> Iterator[None]:
    """Records survive the power cuts that no test makes: a search on curves would flush the disk hundreds of times.

    Processes that tests start keep `os.fsync`, and so does a test that replaces it itself.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: None)
        yield
