"""The runner of the study: one failure stops no other search, and what is committed names no path of this machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from absgd import records
from analysis import load
from benchmarks.report_scale.many_scenarios import write_scenarios
from benchmarks.study import study_runs
from benchmarks.study.study_runs import collect, run_command, run_searches, search_command, search_stage


def test_new_search_starts_and_begun_one_resumes(tmp_path: Path) -> None:
    assert search_stage(tmp_path / "digits_ldam") == "new"
    assert search_command("digits_ldam", tmp_path, "new")[-4:-2] == ["--space", search_space("digits_ldam")]
    assert search_command("digits_ldam", tmp_path, "begun")[-2:] == ["--resume", str(tmp_path / "digits_ldam")]


def search_space(name: str) -> str:
    return str(Path(study_runs.__file__).parent / "spaces" / f"{name}.yaml")


def test_failing_search_stops_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done: list[str] = []

    def pretend_search(command: list[str]) -> None:
        name = Path(command[-3]).stem
        if name != "digits_both":
            done.append(name)

    monkeypatch.setattr(study_runs, "run_command", pretend_search)
    monkeypatch.setattr(study_runs, "search_stage", lambda folder: "ended" if folder.name in done else "new")
    monkeypatch.setattr(study_runs, "collect", lambda _, target: target.mkdir(parents=True))
    names = ["digits_ldam", "digits_both", "digits_noisy_sce"]
    assert run_searches(names, tmp_path / "runs", tmp_path / "results") == ["digits_both"]
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["digits_ldam", "digits_noisy_sce"]


def test_sigterm_ends_the_search_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    class PretendProcess:
        def __init__(self, command: list[str]) -> None: ...

        def __enter__(self) -> PretendProcess:
            return self

        def __exit__(self, *_: object) -> None: ...

        def terminate(self) -> None:
            ended.append("terminated")

        def wait(self) -> None:
            if not ended:
                raise KeyboardInterrupt(15)
            ended.append("waited")

    monkeypatch.setattr(subprocess, "Popen", PretendProcess)
    with pytest.raises(KeyboardInterrupt):
        run_command(["absgd-tune"])
    assert ended == ["terminated", "waited"]


def test_collected_search_loads_and_names_no_path(tmp_path: Path) -> None:
    folder = write_scenarios(tmp_path / "run", 1)
    session = {"started_at": "2026-11-28", "command": f"absgd-tune --space {tmp_path}/space.yaml --out {tmp_path}"}
    (folder / records.ENVIRONMENT_FILE).write_text(json.dumps({"sessions": [session]}))
    (folder / "predictions").mkdir()
    (folder / "predictions" / "large.parquet").write_bytes(b"")
    collect(folder, tmp_path / "results" / "run")
    collect(folder, tmp_path / "results" / "run")  # replaces it
    runs = load(tmp_path / "results" / "run")
    assert runs.problems == ()
    assert runs.comparisons.finding.tolist() == load(folder).comparisons.finding.tolist()
    text = (tmp_path / "results" / "run" / records.ENVIRONMENT_FILE).read_text()
    assert "--space space.yaml" in text
    assert str(tmp_path) not in text
    assert not (tmp_path / "results" / "run" / "predictions").exists()
