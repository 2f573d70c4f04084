"""A worker imports what a trial needs as it starts, unless it will train none."""

from __future__ import annotations

import runpy

import pytest

from tune_runs.ray_cluster.session import TRAINS_NOTHING


def test_only_workers_that_train_import_what_a_trial_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    monkeypatch.setattr("absgd.whole_imports.import_whole", imported.append)
    monkeypatch.setenv(TRAINS_NOTHING, "1")
    runpy.run_module("tune_runs.trial.preloaded")
    assert imported == []
    monkeypatch.delenv(TRAINS_NOTHING)
    runpy.run_module("tune_runs.trial.preloaded")
    assert imported == ["tune_runs.trial.trainable"]
