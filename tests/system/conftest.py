"""Fixtures of the tests that start clusters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tune_runs.ray_cluster.session import ray_session


@pytest.fixture(scope="session")
def ray() -> Iterator[None]:
    """One local Ray for all tests that need one; `ray_session` inside a test uses it."""
    with ray_session():
        yield
