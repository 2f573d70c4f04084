"""The parts of a GPU's hour and their shares of the time."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpu.part_table import PARTS, limit_s, parsed_parts

FOLDER = Path(__file__).parents[3] / "benchmarks" / "gpu"


def test_parts_share_an_hour_in_their_order() -> None:
    assert [part.number for part in PARTS] == [1, 2, 3, 4, 5, 6, 7]
    assert sum(part.share for part in PARTS) == 60
    assert {part.module.rpartition(".")[2] for part in PARTS} == {path.stem for path in FOLDER.glob("*_part.py")}


def test_time_that_is_left_goes_to_later_parts() -> None:
    first, second, third = PARTS[:3]
    assert limit_s(first, PARTS[1:], 3600) == 60 * first.share
    assert limit_s(second, [third], 1600) == pytest.approx(1600 * second.share / (second.share + third.share))
    assert limit_s(third, [], 900) == 900


def test_parts_are_named_by_number_in_any_order() -> None:
    assert parsed_parts(" 7, 2,7") == [PARTS[1], PARTS[6]]


@pytest.mark.parametrize("text", ["", "8", "0", "1;2", "1,,2", "one"])
def test_other_words_name_no_part(text: str) -> None:
    with pytest.raises(ValueError, match="expected numbers from 1 to 7, separated by commas, got"):
        parsed_parts(text)
