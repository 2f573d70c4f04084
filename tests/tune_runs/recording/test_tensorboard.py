"""TensorBoard reads a search while it runs: the curves of its trials and their settings."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import (
    EXPERIMENT_TAG,
    SESSION_START_INFO_TAG,
    parse_experiment_plugin_data,
    parse_session_start_info_plugin_data,
)

from absgd.records import EVENTS_FOLDER
from tests.support.fake_tuner import FakeTuner, make_space, rising
from tune_runs.recording import tensorboard as event_files


def drawn(folder: Path, trial_id: str) -> EventAccumulator:
    """Return what TensorBoard itself reads of a trial."""
    found = EventAccumulator(str(folder / EVENTS_FOLDER / trial_id))
    found.Reload()
    return found


def curve(folder: Path, trial_id: str, name: str) -> dict[int, float]:
    return {event.step: event.value for event in drawn(folder, trial_id).Scalars(name)}


def recorded(folder: Path, trial_id: str) -> pd.DataFrame:
    epochs = pd.read_parquet(folder / "epochs.parquet")
    return epochs[(epochs.trial_id == trial_id) & ~epochs.inherited]


def test_curves_equal_the_tables(tmp_path: Path) -> None:
    FakeTuner(make_space(), tmp_path / "run", rising).run()
    trials = pd.read_parquet(tmp_path / "run/trials.parquet")
    assert set(trials.status) == {"completed", "pruned"}
    for trial_id in trials.trial_id:
        own = recorded(tmp_path / "run", trial_id)
        for name in ("val_accuracy", "val_loss", "lr"):
            expected = dict(zip(own.epoch, own[name], strict=True))
            assert curve(tmp_path / "run", trial_id, name) == pytest.approx(expected, rel=1e-6)
        assert "val_few_accuracy" not in drawn(tmp_path / "run", trial_id).Tags()["scalars"], "it has no value"


def test_settings_equal_the_trials(tmp_path: Path) -> None:
    FakeTuner(make_space(), tmp_path / "run", rising).run()
    trials = pd.read_parquet(tmp_path / "run/trials.parquet").set_index("trial_id")
    first = trials[trials.phase == "search"].iloc[0]
    metadata = drawn(tmp_path / "run", first.name).SummaryMetadata(SESSION_START_INFO_TAG)
    settings = parse_session_start_info_plugin_data(metadata.plugin_data.content).hparams
    assert settings["lam"].number_value == first.lam
    assert settings["switch_epoch"].number_value == first.switch_epoch
    assert settings["scenario"].string_value == first.scenario
    control = drawn(tmp_path / "run", trials[trials.phase == "control"].index[0])
    columns = parse_experiment_plugin_data(control.SummaryMetadata(EXPERIMENT_TAG).plugin_data.content)
    assert {"lam", "gamma", "ab_alpha", "switch_epoch", "candidate"} <= {info.name for info in columns.hparam_infos}
    assert [info.name.tag for info in columns.metric_infos] == ["val_accuracy"]


def test_curves_can_be_read_while_the_search_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_files, "FLUSH_EVERY_S", -1.0)
    FakeTuner(make_space(), tmp_path / "run", rising).run(stop_after_results=3)
    seen = [curve(tmp_path / "run", path.name, "val_accuracy") for path in (tmp_path / "run/tensorboard").iterdir()]
    assert sum(map(len, seen)) == 3


@pytest.mark.parametrize("stop_after", [1, 9, 30])
def test_curves_continue_after_a_kill(tmp_path: Path, stop_after: int) -> None:
    FakeTuner(make_space(), tmp_path / "run", rising).run(stop_after_results=stop_after)
    FakeTuner(make_space(), tmp_path / "run", rising).run()
    for path in (tmp_path / "run" / EVENTS_FOLDER).iterdir():
        own = recorded(tmp_path / "run", path.name)
        assert set(curve(tmp_path / "run", path.name, "val_accuracy")) <= set(own.epoch)
        assert own.epoch.max() in curve(tmp_path / "run", path.name, "val_accuracy")


def test_trial_whose_process_was_lost_has_one_complete_curve(tmp_path: Path) -> None:
    tuner = FakeTuner(make_space(), tmp_path / "run", rising)
    trial_id = f"{tuner.space.scenario_list[0].name}-control"
    tuner.run(loses={trial_id: [4]})
    assert pd.read_parquet(tmp_path / "run/trials.parquet").set_index("trial_id").restarts[trial_id] == 1
    assert list(curve(tmp_path / "run", trial_id, "val_accuracy")) == list(range(10))


def test_full_disk_costs_the_drawing_not_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(event_files, "EventsWriter", full)
    FakeTuner(make_space(), tmp_path / "run", rising).run()
    assert set(pd.read_parquet(tmp_path / "run/trials.parquet").status) == {"completed", "pruned"}
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning == "warning: TensorBoard ends here (OSError: [Errno 28] No space left on device); the search goes on"
