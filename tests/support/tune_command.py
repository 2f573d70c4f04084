"""`absgd-tune` called in this process, and a space file for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.support.fake_tuner import SPACE
from tune_runs.cli import app
from tune_runs.preview.epoch_times import measure_epoch_times
from tune_runs.preview.packing_probe import probe_packings


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100"})


def measure_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `--measure` of this process train for about a second: what it finds is as real, and less precise."""
    brief_times = partial(measure_epoch_times, budget_s=0.5)
    monkeypatch.setattr("tune_runs.preview.epoch_times.measure_epoch_times", brief_times)
    monkeypatch.setattr("tune_runs.preview.packing_probe.probe_packings", partial(probe_packings, kind_s=0.1))


def write(path: Path, **changes: Any) -> None:
    path.write_text(yaml.safe_dump({**SPACE, **changes}))
