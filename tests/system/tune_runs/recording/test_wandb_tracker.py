"""Weights & Biases itself, offline, keeps what is recorded; without a key nothing starts."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from absgd.errors import UserError
from tests.support.fake_tuner import FakeTuner, make_space, rising
from tune_runs.recording.tracker_callback import close_trackers
from tune_runs.recording.tracker_table import attach_report, check_trackers

wandb: Any = pytest.importorskip("wandb")


@pytest.fixture(autouse=True)
def _on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_DIR", "WANDB_PROJECT", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HOME", str(tmp_path))  # of no key
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))


def kept(folder: Path) -> Iterator[tuple[Path, Any]]:
    """Yield the records of all offline runs, each with the folder of its run."""
    from wandb.proto import wandb_internal_pb2

    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for content in logged(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            yield path.parent, record


def logged(data: bytes, header: int = 7, block: int = 32768) -> Iterator[bytes]:
    """Yield the records of a log of LevelDB's format: checksum, length and kind before each part of one."""
    assert data.startswith(b":W&B")
    place, parts = header, b""
    while place + header <= len(data):
        if block - place % block < header:
            place += block - place % block
        length, kind = struct.unpack_from("<HB", data, place + 4)
        parts += data[place + header : place + header + length]
        place += header + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def test_runs_equal_the_records_after_a_kill_and_a_resume(tmp_path: Path) -> None:
    space = make_space(track=["wandb"], num_trials=2)
    check_trackers(space.track)
    FakeTuner(space, tmp_path / "run", rising).run(stop_after_results=9)
    wandb.teardown()  # its own process, which has the runs open, would end with a killed search
    tuner = FakeTuner(space, tmp_path / "run", rising)
    tuner.run()
    close_trackers(tuner.search.trackers, within_s=600)
    (tmp_path / "run/report.html").write_text("<p>the report")
    attach_report(space, tmp_path / "run", within_s=600)
    wandb.teardown()  # waits until all is written, on a busy machine too
    names, groups, settings, ids = {}, {}, {}, defaultdict(set)
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    statuses: dict[str, str] = {}
    for place, record in kept(tmp_path / "run"):
        if record.HasField("run"):
            name = names[place] = record.run.display_name
            groups[name] = record.run.run_group
            ids[name].add(record.run.run_id)
            assert record.run.project == "absgd-tune"
            settings[name] = {item.key: json.loads(item.value_json) for item in record.run.config.update}
        if record.HasField("history"):
            row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            if "val_accuracy" in row:
                assert row["_step"] not in curves[names[place]], "no epoch twice"
                curves[names[place]][row["_step"]] = row["val_accuracy"]
        if record.HasField("summary"):
            for item in record.summary.update:
                if (item.key or item.nested_key[0]) == "status":
                    statuses[names[place]] = json.loads(item.value_json)
    trials = pd.read_parquet(tmp_path / "run/trials.parquet").set_index("trial_id")
    assert set(names.values()) == {*trials.index, "report"}
    assert all(len(one) == 1 for one in ids.values()), "a trial that continues continues its run"
    epochs = pd.read_parquet(tmp_path / "run/epochs.parquet")
    for trial_id, trial in trials.iterrows():
        own = epochs[(epochs.trial_id == trial_id) & ~epochs.inherited]
        assert curves[str(trial_id)] == dict(zip(own.epoch, own.val_accuracy, strict=True))
        assert groups[trial_id] == trial.scenario
        assert statuses[str(trial_id)] == trial.status
        assert settings[trial_id]["switch_epoch" if trial.phase == "search" else "lr"] is not None
    (page,) = (tmp_path / "run/wandb").glob("offline-run-*/files/media/html/report*.html")
    assert page.read_text() == "<p>the report"


def test_server_without_a_key_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    wandb.teardown()
    with pytest.raises(UserError, match=r"a key of Weights & Biases, found none: .* WANDB_MODE=offline \(track\)"):
        check_trackers(["wandb"])
    wandb.teardown()


def test_wrong_setting_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    wandb.teardown()
    with pytest.raises(UserError, match=r"Weights & Biases cannot start: ValidationError: .*mode.* \(track\)"):
        check_trackers(["wandb"])
    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb.teardown()
