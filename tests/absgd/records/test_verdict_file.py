"""The verdicts of a search as a file."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, get_args

import pytest

from absgd.records import Verdict, VerdictOutcome, read_verdicts, write_verdicts
from absgd.records.verdict_file import VERDICT_LABELS

ONE = Verdict(
    "runs/a", "digits", "better", "It is better.", "Use it.", ("a ± b",), "best-2", {"lam": 5.5, "loss": "abce"}
)
NONE = Verdict("runs/a", "other", "nothing finished", "Nothing.", "")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_verdicts(tmp_path / "v.json", [ONE, NONE])
    assert read_verdicts(tmp_path / "v.json") == [ONE, NONE]
    assert json.loads((tmp_path / "v.json").read_text())["verdicts"][0]["label"] == "Better than plain training"


def test_folder_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    named = dataclasses.replace(ONE, folder="runs/caf\udce9")
    write_verdicts(tmp_path / "v.json", [named])
    assert read_verdicts(tmp_path / "v.json") == [named]


def test_text_is_sentence_and_advice() -> None:
    assert (str(ONE), str(NONE)) == ("digits: It is better. Use it.", "other: Nothing.")


def test_every_outcome_has_a_label() -> None:
    assert tuple(VERDICT_LABELS) == get_args(VerdictOutcome)


def test_verdict_of_an_earlier_version_is_undecided(tmp_path: Path) -> None:
    file = tmp_path / "verdicts.json"
    write_verdicts(file, [Verdict("r", "s", "undecided", "It is not distinguishable.", "")])
    file.write_text(file.read_text().replace('"undecided"', '"not distinguishable"'))
    assert [one.outcome for one in read_verdicts(file)] == ["undecided"]


@pytest.mark.parametrize(
    "content",
    [
        b"no JSON",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"verdicts": 3}',
        b'{"verdicts": [3]}',
        b'{"verdicts": [{}]}',
    ],
)
def test_damaged_file_is_one_kind_of_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"^expected verdicts, got "):
        read_verdicts(tmp_path / "v.json")


@pytest.mark.parametrize(
    "change",
    [{"outcome": "great"}, {"outcome": ["better"]}, {"scenario": 3}, {"advice": None}, {"details": [3]}],
)
def test_entry_of_another_kind_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    write_verdicts(tmp_path / "v.json", [ONE])
    (row,) = json.loads((tmp_path / "v.json").read_text())["verdicts"]
    (tmp_path / "v.json").write_text(json.dumps({"verdicts": [{**row, **change}]}))
    with pytest.raises(ValueError, match=r"^expected verdicts, got "):
        read_verdicts(tmp_path / "v.json")


def test_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.json")
    with pytest.raises(OSError, match="a device or a pipe"):
        read_verdicts(tmp_path / "v.json")
