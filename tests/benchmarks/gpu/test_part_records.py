"""Records of parts, written and read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from absgd.errors import UserError
from benchmarks.gpu.part_records import FAILED, PartRecord, PartSection, read_record, read_records, record_path
from benchmarks.gpu.part_table import PARTS
from benchmarks.harness.target_verdicts import TargetVerdict

SECTION = PartSection("Rates", ("one", "two"), {"value": 1.5}, (TargetVerdict(False, "fast"),), ("a fault",))
RECORD = PartRecord(1, True, FAILED, 60.0, 1.25, "a fault", ("the end",), {"python": "3.12"}, (SECTION,))


def test_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_record(tmp_path, PARTS[0]) is None
    RECORD.write(tmp_path, PARTS[0])
    assert read_record(tmp_path, PARTS[0]) == RECORD
    assert read_records(tmp_path) == {1: RECORD}
    assert json.loads(record_path(tmp_path, PARTS[0]).read_text())["title"] == PARTS[0].title


def test_named_tuples_and_missing_numbers_become_plain_data(tmp_path: Path) -> None:
    values = {8: TargetVerdict(None, "later"), "none": float("nan"), "list": [float("inf"), 2.0]}
    PartRecord(1, False, FAILED, 60.0, sections=(PartSection("Any", (), values),)).write(tmp_path, PARTS[0])
    found = read_record(tmp_path, PARTS[0])
    assert found is not None
    assert found.sections[0].values == {
        "8": {"is_met": None, "sentence": "later", "reason": ""},
        "none": "nan",
        "list": ["inf", 2.0],
    }


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"sections": 3}', '{"sections": [], "last_lines": []}', "[" * 99999]
)
def test_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    record_path(tmp_path, PARTS[0]).write_text(text)
    with pytest.raises(UserError, match=r"cannot read .*part-1-machine\.json: remove it"):
        read_record(tmp_path, PARTS[0])
