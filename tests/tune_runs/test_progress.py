"""The live table and the summary: numbers, then what a terminal shows."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from tests.tune_runs.fake_tuner import FakeTuner, make_space, rising
from tune_runs.progress import ProgressCallback, print_summary, scenario_progress, seconds_left

EXP, STEP = "digits-exp-0.1", "digits-step-0.1"


@pytest.fixture
def halfway(tmp_path: Path) -> FakeTuner:
    tuner = FakeTuner(make_space(), tmp_path / "fake", rising)
    tuner.run(stop_after_results=45)
    return tuner


def terminal(width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_states_and_epochs_add_up(halfway: FakeTuner) -> None:
    for scenario in (EXP, STEP):
        one = scenario_progress(halfway.space, halfway.recorder, scenario, 7)
        assert sum(one.states.values()) == halfway.space.num_trials
        rows = [row for row in halfway.recorder.trials.values() if row["scenario"] == scenario]
        assert one.epochs_done == sum(row["epochs_trained"] for row in rows)
        running = [row for row in rows if row["status"] == "running"]
        done = ("epochs_trained", "epochs_inherited")
        left = sum(10 - sum(row[name] for name in done) for row in running) + 7 * one.states["waiting"]
        assert one.epochs_left == left
        assert one.control is not None


def test_at_the_end_nothing_is_left(tmp_path: Path) -> None:
    tuner = FakeTuner(make_space(), tmp_path / "fake", rising)
    tuner.run()
    one = scenario_progress(tuner.space, tuner.recorder, EXP, 7)
    assert (one.states["waiting"], one.epochs_left) == (0, 0)
    assert one.best == tuner.recorder.best(EXP)


def test_time_left_is_unknown_before_the_first_epoch() -> None:
    assert seconds_left(0, 100, 5.0) is None
    assert seconds_left(50, 100, 5.0) == 10.0


def test_live_table_fits_80_columns_and_names_states_that_occur(tmp_path: Path) -> None:
    halfway, console = FakeTuner(make_space(), tmp_path / "fake", rising), terminal()
    progress = ProgressCallback(halfway.space, halfway.recorder, list, console)
    halfway.run(stop_after_results=45)
    progress.start()
    progress.on_step_end()
    progress.stop()
    shown = text(console)
    assert "waiting" in shown
    assert "diverged" not in shown
    assert "at most" in shown
    (line, *_) = [line for line in shown.splitlines() if line.strip().startswith(EXP)]
    control = halfway.recorder.control(EXP)
    assert control is not None
    assert f"{control['metric_last']:.4f}" in line


def test_off_a_terminal_every_end_of_a_trial_is_a_line(halfway: FakeTuner, capsys: pytest.CaptureFixture[str]) -> None:
    progress = ProgressCallback(halfway.space, halfway.recorder, list, Console(file=io.StringIO()))
    progress.start()
    progress.on_trial_complete(trial=SimpleNamespace(config={"trial_id": f"{EXP}-control"}))
    progress.stop()
    assert f"{EXP}-control completed after 10 epochs, val_accuracy 0.0000" in capsys.readouterr().out


def test_unfinished_control_shows_its_status_not_a_score(halfway: FakeTuner) -> None:
    halfway.recorder.trials[f"{EXP}-control"]["status"] = "interrupted"
    console = terminal(120)
    print_summary(halfway.space, halfway.recorder, console)
    (line,) = [line for line in text(console).splitlines() if line.strip().startswith(EXP)]
    assert "interrupted" in line


def test_summary_names_what_was_searched(halfway: FakeTuner) -> None:
    console = terminal(120)
    print_summary(halfway.space, halfway.recorder, console)
    for word in ("lam", "gamma", "ab_alpha", "switch_epoch", "trials.parquet", "epochs.parquet"):
        assert word in text(console)
