"""Columns, tables and atomic writes."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from absgd import records
from absgd.config import RunConfig, setting_keys
from absgd.errors import UserError

CONFIG = RunConfig.from_dict(
    {
        "data": {"name": "digits"},
        "attention": {"lam": -2, "gamma": 0.5, "ab_alpha": 1, "switch_epoch": 3},
        "schedule": {"type": "step", "milestones": [1, 2]},
    }
)


def test_every_setting_has_one_column() -> None:
    options = ["data.options", "model.options", "loss.options"]
    assert [key for key, _ in records.CONFIG_COLUMNS.values()] == [*setting_keys(), *options]
    assert set(records.CONFIG_COLUMNS) <= set(records.TRIAL_SCHEMA.names)
    assert len(set(records.TRIAL_SCHEMA.names)) == len(records.TRIAL_SCHEMA.names)


def test_every_field_of_an_epoch_and_of_a_test_has_a_column() -> None:
    assert {field.name for field in dataclasses.fields(records.EpochRecord)} <= set(records.EPOCH_SCHEMA.names)
    assert {field.name for field in dataclasses.fields(records.TestMetrics)} <= set(records.TRIAL_SCHEMA.names)


def test_config_columns_read_back_typed(tmp_path: Path) -> None:
    row = {"trial_id": "a", **records.config_columns(CONFIG)}
    records.write_table(tmp_path / "t.parquet", records.as_table(records.TRIAL_SCHEMA, [row]))
    frame = pd.read_parquet(tmp_path / "t.parquet")
    assert frame.loc[0, "lam"] == -2.0
    assert frame.loc[0, "switch_epoch"] == 3
    assert list(frame.loc[0, "milestones"]) == [1, 2]
    assert frame.loc[0, "class_balance_from_epoch"] == "0"


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        CONFIG.stage_one(),
        CONFIG.with_values({"class_balance": {"type": "reweight", "from_epoch": "switch"}, "data.root": "1e5"}),
        CONFIG.with_values({"class_balance": {"type": "reweight", "from_epoch": 7}, "augmentation.flip": False}),
    ],
)
def test_config_of_a_row_that_was_on_disk_is_the_config(tmp_path: Path, config: RunConfig) -> None:
    row = {"trial_id": "a", **records.config_columns(config)}
    records.write_table(tmp_path / "t.parquet", records.as_table(records.TRIAL_SCHEMA, [row]))
    assert records.config_of(records.read_rows(tmp_path / "t.parquet", records.TRIAL_SCHEMA)[0]) == config.resolved()


def test_head_of_a_row_is_the_one_that_was_trained() -> None:
    columns = [records.config_columns(CONFIG.with_values({"loss.name": loss})) for loss in ("abce", "ldam")]
    assert [row["head"] for row in columns] == ["linear", "cosine"]
    assert [records.config_of(row).model.head for row in columns] == ["linear", "cosine"]


def test_row_of_a_version_without_fast_is_an_exact_run() -> None:
    assert records.config_of({**records.config_columns(CONFIG), "fast": None}) == CONFIG.resolved()


def test_row_of_an_earlier_version_has_its_behaviour(tmp_path: Path) -> None:
    row = {"trial_id": "a", **records.config_columns(CONFIG)}
    table = records.as_table(records.TRIAL_SCHEMA, [row]).drop_columns(["on_duplicate", "data_resize"])
    records.write_table(tmp_path / "t.parquet", table)
    found = records.read_rows(tmp_path / "t.parquet", records.TRIAL_SCHEMA)[0]
    assert list(found) == records.TRIAL_SCHEMA.names
    assert records.config_of(found) == CONFIG.with_values({"data.on_duplicate": "keep"}).resolved()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"name": "imagefolder"}, {"name": "imagefolder", "on_duplicate": "keep"}),
        ({"name": "imagefolder", "on_duplicate": "refuse"}, {"name": "imagefolder", "on_duplicate": "refuse"}),
        ({"name": "digits"}, {"name": "digits"}),
    ],
)
def test_settings_of_an_earlier_version_are_given_its_behaviour(data: dict[str, str], expected: dict[str, str]) -> None:
    assert records.with_earlier_defaults({"data": data, "device": {}}) == {"data": expected, "device": {}}
    assert records.with_earlier_defaults({"data": 3}) == {"data": 3}


def test_text_that_is_not_utf_8_is_escaped_in_tables(tmp_path: Path) -> None:
    records.write_table(tmp_path / "t.parquet", records.as_table(records.TRIAL_SCHEMA, [{"error": "caf\udce9.png"}]))
    assert records.read_rows(tmp_path / "t.parquet", records.TRIAL_SCHEMA)[0]["error"] == r"caf\xe9.png"


def test_plain_loss_has_no_attention_columns() -> None:
    row = records.config_columns(CONFIG.stage_one())
    assert [row[name] for name in ("lam", "gamma", "ab_alpha", "switch_epoch")] == [None] * 4


def test_unknown_column_is_refused() -> None:
    with pytest.raises(AssertionError, match="lamda"):
        records.as_table(records.TRIAL_SCHEMA, [{"lamda": 1}])


def test_an_empty_table_has_all_columns(tmp_path: Path) -> None:
    records.write_table(tmp_path / "e.parquet", records.as_table(records.EPOCH_SCHEMA, []))
    assert list(pd.read_parquet(tmp_path / "e.parquet").columns) == records.EPOCH_SCHEMA.names


@pytest.mark.parametrize(("metric", "chosen"), [("val_accuracy", 1), ("val_loss", 2), ("val_few_accuracy", 0)])
def test_chosen_epoch_follows_the_metric_and_skips_missing_values(metric: str, chosen: int) -> None:
    rows: list[dict[str, Any]] = [
        {"epoch": 0, "val_accuracy": 0.5, "val_loss": 2.0, "val_few_accuracy": 0.1},
        {"epoch": 1, "val_accuracy": 0.9, "val_loss": 1.5, "val_few_accuracy": None},
        {"epoch": 2, "val_accuracy": 0.9, "val_loss": 1.0, "val_few_accuracy": None},
    ]
    best = records.chosen_epoch(rows, metric)
    assert best is not None
    assert best["epoch"] == chosen


def test_summary_separates_last_from_chosen() -> None:
    rows = [{"epoch": e, "val_accuracy": v, "inherited": e == 0} for e, v in enumerate([0.1, 0.8, 0.6])]
    assert records.summary_columns(rows, "val_accuracy") == {
        "metric": "val_accuracy",
        "metric_last": 0.6,
        "metric_chosen": 0.8,
        "chosen_epoch": 1,
        "epochs_trained": 2,
        "epochs_inherited": 1,
    }


def test_failed_write_keeps_the_old_file_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.txt"
    records.write_atomically(path, "old")

    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        records.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["f.txt"]


def test_text_that_is_not_utf_8_is_written_with_escapes(tmp_path: Path) -> None:
    records.write_atomically(tmp_path / "f.txt", "KeyError: 'caf\udce9 \ud800 é'")
    assert (tmp_path / "f.txt").read_text(encoding="utf-8") == r"KeyError: 'caf\xe9 \ud800 é'"


def test_damaged_table_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match=r"cannot read .*t.parquet"):
        records.read_rows(tmp_path / "t.parquet", records.TRIAL_SCHEMA)
    assert records.read_rows(tmp_path / "absent.parquet", records.TRIAL_SCHEMA) == []


def test_table_of_another_version_is_a_user_error(tmp_path: Path) -> None:
    pd.DataFrame({"epoch": [0]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"t.parquet: no column `run`"):
        records.read_rows(tmp_path / "t.parquet", records.EPOCH_SCHEMA)


def test_metrics_of_later_versions_are_null(tmp_path: Path) -> None:
    for schema, later in ((records.TRIAL_SCHEMA, "test_macro_f1"), (records.EPOCH_SCHEMA, "val_worst_recall")):
        table = records.as_table(schema, [{"trial_id": "t"}])
        old = table.drop_columns([name for name in records.LATER_METRICS if name in schema.names])
        records.write_table(tmp_path / "t.parquet", old)
        (found,) = records.read_rows(tmp_path / "t.parquet", schema)
        assert found["trial_id"] == "t"
        assert found[later] is None


def test_every_metric_has_a_test_counterpart() -> None:
    groups = dict.fromkeys(records.SHOT_METRICS, "test_balanced_accuracy")
    for metric in records.METRICS:
        assert records.test_metric_of(metric) == groups.get(metric, metric.replace("val_", "test_"))


def test_settings_of_later_versions_have_their_defaults(tmp_path: Path) -> None:
    config = RunConfig.from_dict({"data": {"name": "digits"}, "loss": {"name": "ce"}})
    row = {"trial_id": "t", **records.config_columns(config)}
    table = records.as_table(records.TRIAL_SCHEMA, [row])
    records.write_table(tmp_path / "t.parquet", table.drop_columns(["data_title", "ranks", "fast"]))
    found = records.read_rows(tmp_path / "t.parquet", records.TRIAL_SCHEMA)[0]
    assert records.config_of(found) == config.resolved()
    with pytest.raises(UserError, match="expected `epochs` to be a whole number, got nothing"):
        records.config_of({**found, "epochs": None})


def test_classes_as_a_table() -> None:
    table = records.class_table(["cat", "dog"], [5, 3], [2, 2])
    assert table.schema == records.CLASS_SCHEMA
    assert table.to_pylist()[1] == {"class": 1, "name": "dog", "num_train": 3, "num_val": 2}


def test_importing_records_loads_neither_torch_nor_ray() -> None:
    code = "import sys, absgd.records, absgd.config; print([m for m in ('torch', 'ray', 'optuna') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_pairs_of_tables_that_lack_them_follow_from_phases_and_ids(tmp_path: Path) -> None:
    keys = [
        ("search", "s-0001", 0),
        ("control", "s-control", 0),
        ("confirm", "s-0001-seed3", 3),
        ("single", "run", None),
    ]
    rows = [{"trial_id": trial_id, "phase": phase} for phase, trial_id, _ in keys]
    path = tmp_path / "trials.parquet"
    table = records.as_table(records.TRIAL_SCHEMA, rows)
    records.write_table(path, table.drop_columns([records.PAIR]))
    found = records.read_rows(path, records.TRIAL_SCHEMA)
    assert [row["pair"] for row in found] == [pair for *_, pair in keys]
    assert records.read_rows(path, table.drop_columns([records.PAIR]).schema)[0].keys() == found[0].keys() - {"pair"}


def test_no_table_is_read_through_a_file_of_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of Arrow that drops such a file while the interpreter ends aborts the process, now and then."""
    path = tmp_path / "trials.parquet"
    records.write_table(path, records.as_table(records.TRIAL_SCHEMA, []))
    sources, read = [], pq.read_table
    monkeypatch.setattr(pq, "read_table", lambda source: (sources.append(source), read(source))[1])
    assert records.read_rows(path, records.TRIAL_SCHEMA) == []
    (source,) = sources
    assert isinstance(source, pa.NativeFile)
    assert not isinstance(source, pa.PythonFile)
