"""Fixtures: run folders shared by the tests of analysis; tests that change one copy it."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import Runs, load
from tests.support import run_folders


@pytest.fixture(scope="package")
def full_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run with search, control and confirmation."""
    return run_folders.confirmed(tmp_path_factory.mktemp("full") / "full")


@pytest.fixture(scope="package")
def search_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run with search and control."""
    return run_folders.searched(tmp_path_factory.mktemp("searched") / "searched")


@pytest.fixture(scope="package")
def full(full_folder: Path) -> Runs:
    return load(full_folder)


@pytest.fixture(scope="package")
def searched(search_folder: Path) -> Runs:
    return load(search_folder)


@pytest.fixture(scope="package")
def predicted_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run with search, control, confirmation and the predictions of its runs."""
    return run_folders.predicted(tmp_path_factory.mktemp("predicted") / "predicted")


@pytest.fixture(scope="package")
def predicted(predicted_folder: Path) -> Runs:
    return load(predicted_folder)
