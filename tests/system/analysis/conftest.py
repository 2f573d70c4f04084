"""Run folders shared by the tests of analysis that start browsers or Ray."""

from __future__ import annotations

from tests.support.run_folder_fixtures import full, full_folder, predicted, predicted_folder, search_folder, searched

__all__ = ["full", "full_folder", "predicted", "predicted_folder", "search_folder", "searched"]
