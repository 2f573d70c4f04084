"""`absgd-tune` called in this process, and a space file for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner, Result

from tests.support.fake_tuner import SPACE
from tune_runs.cli import app


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100"})


def write(path: Path, **changes: Any) -> None:
    path.write_text(yaml.safe_dump({**SPACE, **changes}))
