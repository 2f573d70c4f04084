"""The suite of `absgd.testing` for data sets, on one of a plugin that is read from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from absgd.config import RunConfig
from absgd.testing import DatasetTests
from absgd.testing.dataset_tests import dataset_config
from tests.support.own_parts import FILES, loaded, write_listed_images


@pytest.mark.usefixtures("own_tables")
class TestListed(DatasetTests):
    entry = "listed"

    @pytest.fixture
    def config(self, tmp_path: Path) -> RunConfig:
        write_listed_images(tmp_path)
        loaded(tmp_path, FILES.replace("NUM_CLASSES", "2"), "files.py")
        return dataset_config("listed", tmp_path, **{"data.options": {"column": "kind"}, "data.workers": 0})
