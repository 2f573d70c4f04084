"""Fixtures shared by the whole suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tune_runs.ray_cluster.session import ray_session, set_environment

set_environment(is_local=True)  # before any test module imports Ray


@pytest.fixture(scope="session")
def ray() -> Iterator[None]:
    """One local Ray for all tests that need one; `ray_session` inside a test uses it."""
    with ray_session():
        yield
