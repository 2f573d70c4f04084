"""One real search of the installed command: killed, resumed, compared with training from scratch, read in pandas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import yaml

from absgd import records
from tests.support.commands import replaced_table, run, started
from tests.support.ray_searches import SEVERAL_AT_ONCE, SMALL, comparable, rows_of, trained_alone
from tests.support.waiting import wait_until

EPOCHS = 150
"""Number of epochs that lets a kill reach a trial while it trains: seconds, in which the tables are written."""
SPACE: dict[str, Any] = {
    **SMALL,
    "base": {**SMALL["base"], "epochs": EPOCHS},
    "scenarios": SMALL["scenarios"][:1],
    "resources": SEVERAL_AT_ONCE,
    "num_trials": 3,
    "seeds": {"pairs": 2},
    "confirm": None,
}


class Resumed(NamedTuple):
    """A search that was killed and resumed."""

    folder: Path
    before: pd.DataFrame
    """The trials when it was killed."""
    printed: str


def is_on_a_further_pair(trials: Path) -> bool:
    return trials.exists() and bool((replaced_table(trials).query("phase == 'replicate'").status == "running").any())


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Resumed:
    here = tmp_path_factory.mktemp("user")
    (here / "small.yaml").write_text(yaml.safe_dump(SPACE))
    folder = here / "runs/small"
    trials = folder / records.TRIALS_FILE
    with started(here, "absgd-tune", "--space", "small.yaml") as process:
        wait_until(lambda: is_on_a_further_pair(trials), process)
        process.kill()
        process.wait()
    before = pd.read_parquet(trials)
    done = run(here, "absgd-tune", "--resume", "runs/small")
    assert done.returncode == 0, done.stdout + done.stderr
    return Resumed(folder, before, done.stdout)


def test_search_killed_with_sigkill_resumes_to_whole_records(resumed: Resumed) -> None:
    assert "running" in set(resumed.before.status)
    ended = resumed.before.query("status == 'completed'").set_index("trial_id")
    after = pd.read_parquet(resumed.folder / records.TRIALS_FILE).set_index("trial_id")
    assert after.groupby(["phase", "pair"]).size().to_dict() == {
        ("search", 0): 3,
        ("control", 0): 1,
        ("control", 1): 1,
        ("replicate", 1): 2,
    }
    assert set(after.status) == {"completed"}
    assert after.loc[ended.index, ["metric_last", "started_at"]].equals(ended[["metric_last", "started_at"]])
    epochs = pd.read_parquet(resumed.folder / records.EPOCHS_FILE)
    assert {name: own.epoch.tolist() for name, own in epochs.groupby("trial_id")} == {
        name: list(range(EPOCHS)) for name in after.index
    }
    control = after[after.phase == "control"].set_index("pair").metric_last
    runs = after[after.phase.isin(("search", "replicate"))]
    gains = (runs.metric_last - runs.pair.map(control)).groupby(runs.number).agg(["mean", "count"])
    assert f"{gains['mean'][gains['count'] == 2].max():+.4f} ± " in resumed.printed


def test_every_trial_equals_training_from_scratch_to_the_bit(resumed: Resumed) -> None:
    for row in records.read_rows(resumed.folder / records.TRIALS_FILE, records.TRIAL_SCHEMA):
        rows = rows_of(resumed.folder, row["trial_id"])
        inherited = 0 if row["phase"] == "control" else row["switch_epoch"]
        assert sum(one["inherited"] for one in rows) == inherited
        assert comparable(rows) == trained_alone(row), row["trial_id"]


def test_results_are_read_in_pandas_without_this_project(resumed: Resumed) -> None:
    code = (
        "import sys, pandas; frame = pandas.read_parquet('trials.parquet');"
        "print(len(frame), [name for name in ('absgd', 'tune_runs', 'ray', 'torch') if name in sys.modules])"
    )
    words = [sys.executable, "-c", code]
    printed = subprocess.run(words, cwd=resumed.folder, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "7 []"
    assert "<h1>small</h1>" in (resumed.folder / "report.html").read_text()
