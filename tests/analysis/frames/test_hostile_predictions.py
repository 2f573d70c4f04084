"""Hostile files of predictions are refused with a reason, cost little, and run nothing; the report goes on without."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from absgd.errors import UserError
from absgd.records import PREDICTION_SCHEMA, prediction_table
from analysis import load
from analysis.cli import app
from analysis.frames import prediction_files
from analysis.frames.prediction_files import read_predictions
from tests.support.hostile import examples
from tests.support.pickle_bombs import bombs
from tests.support.run_folders import made_up_predictions

TRIAL = "digits-exp-0.05-best-1-0"


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return prediction_table({"validation": made_up_predictions(0, 12, 0.8), "test": made_up_predictions(1, 20, 0.8)})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.parquet"


def with_column(table: pa.Table, name: str, values: Any, kind: pa.DataType | None = None) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(values, kind or PREDICTION_SCHEMA.field(name).type))


def listed(table: pa.Table, name: str) -> list[Any]:
    return list(table[name].to_pylist())


def changed(table: pa.Table, name: str, row: int, value: Any) -> pa.Table:
    values = listed(table, name)
    values[row] = value
    return with_column(table, name, values)


WRONG: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "no rows": (lambda table: table.slice(0, 0), "it has no rows"),
    "no column": (lambda table: table.drop_columns(["label"]), "it has no column `label`"),
    "text labels": (lambda table: with_column(table, "label", ["1"] * 32, pa.string()), "column `label` holds string"),
    "double logits": (
        lambda table: with_column(table, "logits", listed(table, "logits"), pa.list_(pa.float64())),
        "column `logits` holds list<",
    ),
    "short logits": (lambda table: changed(table, "logits", 30, [0.0, -1.0]), "an image has another number of logits"),
    "no logits": (lambda table: with_column(table, "logits", [[]] * 32), "an image has another number of logits"),
    "nan": (lambda table: changed(table, "logits", 30, [0.0, float("nan"), 0, 0]), "a logit of test is not finite"),
    "infinite": (lambda table: changed(table, "logits", 0, [0.0, float("-inf"), 0, 0]), "a logit of validation is not"),
    "missing label": (lambda table: changed(table, "label", 0, None), "values are missing"),
    "missing logits": (lambda table: changed(table, "logits", 0, None), "values are missing"),
    "missing logit": (
        lambda table: changed(table, "logits", 0, [0.0, None, 0, 0]),
        "a logit of validation is not finite",
    ),
    "negative label": (lambda table: changed(table, "label", 0, -1), "a label of validation is outside its 4 classes"),
    "large label": (lambda table: changed(table, "label", 31, 4), "a label of test is outside its 4 classes"),
    "outside": (
        lambda table: changed(table, "index", 31, 20),
        "the `index` of test does not count its 20 images",
    ),
    "huge index": (lambda table: changed(table, "index", 3, 2**62), "the `index` of validation does not count"),
    "twice": (lambda table: changed(table, "index", 1, 0), "the `index` of validation does not count its 12 images"),
    "other split": (lambda table: changed(table, "split", 0, "train"), "no such split as 'train'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_content_is_refused_with_its_reason(name: str, table: pa.Table, file: Path) -> None:
    change, reason = WRONG[name]
    pq.write_table(change(table), file)
    with pytest.raises(UserError) as refused:
        read_predictions(file, 4)
    assert str(refused.value).startswith(reason)


def test_whole_file_is_read_in_any_order_of_its_rows(table: pa.Table, file: Path) -> None:
    pq.write_table(table.take(np.random.default_rng(0).permutation(32)), file)
    found = read_predictions(file, 4)
    for name, seed, count in (("validation", 0, 12), ("test", 1, 20)):
        expected = made_up_predictions(seed, count, 0.8)
        for one, other in zip(found[name], expected, strict=True):  # type: ignore[index]
            np.testing.assert_array_equal(one, other)


def test_other_number_of_classes_than_the_run_has(table: pa.Table, file: Path) -> None:
    pq.write_table(table, file)
    with pytest.raises(UserError, match="an image has another number of logits than 5"):
        read_predictions(file, 5)


def test_file_that_claims_more_logits_than_any_run_has(
    table: pa.Table, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_files, "MOST_LOGITS", 100)
    pq.write_table(table, file)
    with pytest.raises(UserError, match="it has more than 100 logits"):
        read_predictions(file, 4)


def test_small_file_of_huge_content_is_given_up_early(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal logits compress to nearly nothing: what a file takes says little about what it holds."""
    monkeypatch.setattr(prediction_files, "MOST_LOGITS", 2**22)
    rows, classes = 20_000, 1000
    ends = pa.array(np.arange(rows + 1) * classes, pa.int32())
    logits = pa.ListArray.from_arrays(ends, pa.array(np.zeros(rows * classes, dtype=np.float16)))
    count = np.arange(rows)
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array(["test"]))
    content = pa.table([names, count, count % classes, count < 0, logits], schema=PREDICTION_SCHEMA)
    pq.write_table(content, file, compression="zstd")
    assert file.stat().st_size < rows * classes / 20
    seen = []
    whole = prediction_files.pc.list_value_length
    monkeypatch.setattr(prediction_files.pc, "list_value_length", lambda own: (seen.append(len(own)), whole(own))[1])
    with pytest.raises(UserError, match="it has more than 4,194,304 logits"):
        read_predictions(file, classes)
    assert sum(seen) < rows / 2


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_cut_file(share: float, table: pa.Table, file: Path) -> None:
    pq.write_table(table, file)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError):
        read_predictions(file, 4)


@examples(60)
@given(data=st.data())
def test_hostile_bytes_are_read_or_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    table = prediction_table({"test": made_up_predictions(1, 20, 0.8)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content = bytearray(sink.getvalue().to_pybytes())
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "hostile.parquet"
    file.write_bytes(bytes(content))
    try:
        found = read_predictions(file, 4)
    except UserError:
        return
    for part in found.values():
        assert part.logits_NC.shape == (len(part.labels_N), 4)
        assert np.isfinite(part.logits_NC).all()


def test_pipe_and_folder_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError, match="it is not a regular file"):
            read_predictions(path, 4)


def test_report_names_damaged_predictions_and_goes_on_without(tmp_path: Path, predicted_folder: Path) -> None:
    folder = shutil.copytree(predicted_folder, tmp_path / "damaged")
    mark = tmp_path / "mark"
    victims = sorted((folder / "predictions").glob("*best-1*"))
    victims[0].write_bytes(bombs(mark)["pickle"])
    victims[1].write_bytes(victims[1].read_bytes()[:500])
    result = CliRunner().invoke(app, [str(folder)])
    assert result.exit_code == 0, result.output
    page = (folder / "report.html").read_text(encoding="utf-8")
    for victim in victims[:2]:
        assert f"predictions/{victim.name} is left out: " in result.stderr
        assert f"predictions/{victim.name} is left out: " in page
    assert not mark.exists()
    frame = load(folder).prediction_numbers()
    assert (frame.query("split == 'test'").configuration == "best-1").sum() == 3


def test_pickles_in_place_of_predictions_are_never_loaded(tmp_path: Path, file: Path) -> None:
    mark = tmp_path / "mark"
    for content in bombs(mark).values():
        file.write_bytes(content)
        with pytest.raises(UserError):
            read_predictions(file, 4)
    assert not mark.exists()


def test_trial_id_that_leads_elsewhere_has_no_predictions(tmp_path: Path, predicted_folder: Path) -> None:
    folder = shutil.copytree(predicted_folder, tmp_path / "moved")
    shutil.move(folder / "predictions" / f"{TRIAL}.parquet", tmp_path / "outside.parquet")
    for name in ("trials.parquet", "epochs.parquet"):
        own = pq.read_table(folder / name)
        ids = ["../../outside" if one == TRIAL else one for one in own["trial_id"].to_pylist()]
        pq.write_table(own.set_column(own.column_names.index("trial_id"), "trial_id", pa.array(ids)), folder / name)
    frame = load(folder).prediction_numbers()
    assert (frame.query("split == 'test'").configuration == "best-1").sum() == 4
