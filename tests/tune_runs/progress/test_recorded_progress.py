"""The progress of a search from its files: what the live table counts, and whether it runs, or has ended."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pyarrow as pa
import pytest
from filelock import FileLock

from absgd import records
from absgd.errors import UserError
from absgd.records import Verdict, write_verdicts
from absgd.registry.plugin_table import PLUGINS, Plugin
from tests.support.fake_tuner import FakeTuner, make_space, rising
from tests.support.run_folders import RunFolderBuilder, config
from tests.support.tune_command import call
from tests.support.tuned_searches import curve, space_of, with_noise
from tune_runs.driver.scenario_progress import scenario_progress
from tune_runs.progress.progress_table import ScenarioProgress
from tune_runs.progress.recorded_progress import is_locked, read_search
from tune_runs.progress.trial_cells import score

EXP = "digits-exp-0.1"


def live(tuner: FakeTuner) -> ScenarioProgress:
    """Return what the live table shows of the first scenario."""
    search, confirmation = tuner.searcher, tuner.confirmations[EXP]
    further, tuning = search.further_pairs[EXP], search.tunings[EXP]
    return scenario_progress(tuner.space, tuner.recorder, tuner.plans[EXP], confirmation, 0, True, further, tuning)


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Return time and size of every file, but for those of TensorBoard, which threads of the search go on writing."""
    kept = (path for path in folder.rglob("*") if "tensorboard" not in path.relative_to(folder).parts)
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in kept}


def test_table_from_files_counts_what_the_live_table_counts_at_any_time(tmp_path: Path) -> None:
    space = space_of(num_trials=6, seeds={"pairs": 3}, scenarios=[{"imbalance": {"type": "exp", "ratio": 0.1}}])
    tuner = FakeTuner(space, tmp_path / "fake", curve, test_score=with_noise)
    folder, seen = tmp_path / "fake", set[str]()
    with FileLock(folder / records.LOCK_FILE):
        for number, _ in enumerate(tuner.results({})):
            if number % 25 == 0:
                tuner.recorder.tables.flush()
                before = contents(folder)
                found = read_search(folder)
                assert contents(folder) == before, "it writes nothing"
                assert found.state == "running"
                (one,), shown = found.progress, live(tuner)
                for name in ("states", "epochs_done", "num_running", "tuned"):
                    assert getattr(one, name) == getattr(shown, name), name
                assert (score(one.best), score(one.control)) == (score(shown.best), score(shown.control))
                assert (one.best and one.best.trial_id) == (shown.best and shown.best.trial_id)
                assert one.on_pairs is not None
                assert shown.on_pairs is not None
                assert one.on_pairs[0] == shown.on_pairs[0]
                assert one.on_pairs[1] >= shown.on_pairs[1]
                assert (one.confirmed or (0,))[0] == (shown.confirmed or (0,))[0]
                seen |= {name for name in ("on_pairs", "tuned", "confirmed") if (getattr(one, name) or (0,))[0]}
    assert seen == {"on_pairs", "tuned", "confirmed"}
    assert read_search(folder).state == "interrupted", "its report is still to come"
    (folder / records.REPORT_FILE).touch()
    ended = read_search(folder)
    assert (ended.state, ended.num_done, ended.num_asked) == ("ended", 6, 6)
    assert ended.progress[0].on_pairs == live(tuner).on_pairs


def test_trials_of_a_killed_search_wait(tmp_path: Path) -> None:
    tuner = FakeTuner(make_space(), tmp_path / "fake", rising)
    tuner.run(stop_after_results=45)
    tuner.recorder.tables.flush()
    found = read_search(tmp_path / "fake")
    assert found.state == "interrupted"
    for one in found.progress:
        recorded = [trial for trial in tuner.recorder.trials_of(one.scenario) if trial.phase == "search"]
        num_ended = sum(trial.is_finished for trial in recorded)
        assert one.states["waiting"] == tuner.space.num_trials - num_ended
        assert "running" not in one.states
    assert (found.num_done, found.num_asked) == (sum(map(tuner.recorder.finished, tuner.plans)), 16)


def test_lock_is_looked_at_and_left_alone(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with FileLock(tmp_path / records.LOCK_FILE):
        assert is_locked(tmp_path)
    (tmp_path / records.LOCK_FILE).touch(mode=0o444)
    assert not is_locked(tmp_path)
    with FileLock(tmp_path / records.LOCK_FILE, timeout=0):
        assert is_locked(tmp_path)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a search that has ended, one that was interrupted, a single run, a damaged and a foreign folder."""
    folder = tmp_path / "runs"
    folder.mkdir()
    FakeTuner(make_space(num_trials=2), folder / "ended", rising).run()
    verdict = Verdict("ended", EXP, "undecided", "Nothing is decided.", "")
    write_verdicts(folder / "ended" / records.VERDICTS_FILE, [verdict, verdict])
    (folder / "ended" / records.REPORT_FILE).touch()
    tuner = FakeTuner(make_space(), folder / "stopped", rising)
    tuner.run(stop_after_results=45)
    tuner.end_early()
    FakeTuner(make_space(), folder / "bad", rising)
    (folder / "bad" / records.TRIALS_FILE).write_text("no table")
    single = RunFolderBuilder(folder / "single")
    single.add("single", config(), 0.8, phase="single")
    (single.write() / records.SPACE_FILE).rename(folder / "single" / records.CONFIG_FILE)
    (folder / "other").mkdir()
    (folder / "notes.txt").touch()
    day = time.time() - 90_000
    for name in (records.SPACE_FILE, records.TRIALS_FILE, records.EPOCHS_FILE):
        os.utime(folder / "stopped" / name, (day, day))
    monkeypatch.chdir(tmp_path)
    return folder


def test_status_shows_the_table_and_how_to_go_on(runs: Path) -> None:
    ended = call("--status", "runs/ended")
    assert ended.exit_code == 0
    assert f"verdict: {EXP}: Undecided" in ended.stdout
    assert "ended, changed" in ended.stdout
    assert "continue with" not in ended.stdout
    stopped = call("--status", "runs/stopped")
    assert stopped.exit_code == 0
    header = next(line for line in stopped.stdout.splitlines() if "scenario" in line)
    assert header.split() == ["scenario", "waiting", "completed", "pruned", "best", "control", "epochs"]
    assert "interrupted, changed 1 day ago" in stopped.stdout
    assert "continue with: absgd-tune --resume runs/stopped\n" in stopped.stdout


def test_list_has_a_line_for_each_folder_the_last_changed_first(runs: Path) -> None:
    result = call("--list", "runs")
    assert result.exit_code == 0
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in result.stdout.splitlines() if line.split()}
    assert rows["ended"].startswith("ended 2 4/4 Undecided (2)")
    assert rows["stopped"].startswith("interrupted 2 ")
    assert rows["stopped"].endswith("1 day ago")
    assert rows["single"].startswith("one run, completed - - 0.")
    assert rows["bad"] == "unreadable - - - -"
    assert rows["other"] == "no run - - - -"
    assert "notes.txt" not in rows
    assert list(rows)[-3:] == ["stopped", "bad", "other"]
    assert "warning: runs/bad: cannot read runs/bad/trials.parquet" in result.stderr


def test_list_goes_on_past_a_folder_that_may_not_be_looked_at(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_dir = Path.is_dir

    def denied(path: Path) -> bool:
        if path.name == "other":
            raise PermissionError(13, "Permission denied", str(path))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", denied)
    assert re.search(r"other +no run", call("--list", "runs").stdout)


def test_list_refuses_a_folder_that_may_not_be_listed(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", denied)
    result = call("--list", "runs")
    assert result.exit_code == 2
    assert "cannot list runs: Permission denied (--list)" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--status", "runs/other"], "expected a run folder with space.yaml, found none in runs/other (--status)"),
        (["--status", "runs/bad"], "cannot read runs/bad/trials.parquet"),
        (["--status", "nowhere"], "found none in nowhere (--status)"),
        (["--list", "nowhere"], "expected a folder of run folders, found none at nowhere (--list)"),
        (["--list", "runs/notes.txt"], "found none at runs/notes.txt (--list)"),
        (["--status", "runs/ended", "--preview"], "expected `--status DIR` alone, got --preview too"),
        (["--list", "runs", "--seed", "0"], "expected `--list DIR` alone, got --seed too"),
        (["--list", "runs", "--status", "runs/ended"], "alone, got --"),
    ],
)
def test_status_and_list_refuse_what_they_cannot_show(runs: Path, words: list[str], message: str) -> None:
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def test_status_of_a_search_over_own_parts_continues_with_the_plugin(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PLUGINS, "parts.py", Plugin("parts.py", "0" * 64, "", str(runs / "parts.py")))
    assert "continue with: absgd-tune --resume runs/stopped --plugin runs/parts.py\n" in (
        call("--status", "runs/stopped").stdout
    )


@pytest.mark.parametrize("verdicts", ["pipe", '{"verdicts": [{"outcome": "\\u001b[2J"}]}'])
def test_nothing_in_a_folder_steers_the_terminal_or_keeps_the_command_waiting(runs: Path, verdicts: str) -> None:
    file = runs / "ended" / records.VERDICTS_FILE
    file.unlink()
    os.mkfifo(file) if verdicts == "pipe" else file.write_text(verdicts)
    (runs / "a\x1b[2J\nb").mkdir()
    assert "ended, changed" in call("--status", "runs/ended").stdout
    listed = call("--list", "runs")
    assert listed.exit_code == 0
    assert "\x1b" not in listed.output
    assert r"a\x1b[2J\nb" in listed.stdout


def test_completed_trial_without_its_score_is_a_damaged_table(runs: Path) -> None:
    file = runs / "ended" / records.TRIALS_FILE
    table = records.read_table(file, records.TRIAL_SCHEMA)
    place = table.schema.get_field_index("metric_last")
    records.write_table(file, table.set_column(place, table.schema.field(place), pa.nulls(len(table), pa.float64())))
    result = call("--status", "runs/ended")
    assert result.exit_code == 2
    assert re.search(r"expected `val_accuracy` of the completed run `\S+`, found 0 values", result.stderr)
    listed = call("--list", "runs")
    assert listed.exit_code == 0
    assert "warning: runs/ended: expected `val_accuracy`" in listed.stderr


def test_list_of_an_empty_folder_says_so(tmp_path: Path) -> None:
    assert call("--list", tmp_path).stdout == f"no run folder in {tmp_path}\n"


def test_read_search_names_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found none in .* \(--list\)"):
        read_search(tmp_path, "--list")
