"""Tests that every model, loss and data set passes, for parts of a user's own: inherit one and name the part.

Needs pytest. Nothing imports it but tests.
"""

import pytest

for _module in ("dataset_tests", "loss_tests", "model_tests"):
    pytest.register_assert_rewrite(f"absgd.testing.{_module}")

from absgd.testing.dataset_tests import DatasetTests  # noqa: E402 - after the line that has their assertions explained
from absgd.testing.loss_tests import LossTests  # noqa: E402 - as above
from absgd.testing.model_tests import ModelTests  # noqa: E402 - as above

__all__ = ["DatasetTests", "LossTests", "ModelTests"]
