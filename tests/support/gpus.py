"""The mark of tests that need a GPU: `python -m benchmarks.gpu` finds them by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch

TestT = TypeVar("TestT", bound=Callable[..., Any])


def needs_gpu(test: TestT) -> TestT:
    """Mark a test as `gpu`, and skip it where torch has none."""
    skipped = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
    return pytest.mark.gpu(skipped(test))  # type: ignore[no-any-return]
