"""YAML in and out."""

from __future__ import annotations

from pathlib import Path

import pytest

from absgd.errors import UserError
from absgd.yaml_text import dump_yaml, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1E5", 1e5), ("+.5", 0.5), ("-2.", -2.0), ("3", 3), ("0.1", 0.1), ("1e", "1e"), ("e5", "e5")],
)
def test_numbers_are_numbers(text: str, value: object) -> None:
    parsed = parse_yaml(f"x: {text}", "f.yaml")["x"]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", r"expected valid YAML, got: .* \(f.yaml: line 1, column 5\)"),
        ("a: 1\nb: 2\na: 3", r"key `a` given twice \(f.yaml: line 3, column 1\)"),
        ("a: &x [1]\nb: *x", r"aliases \(\*name\) are not allowed here"),
        ("!!python/object/apply:os.system [echo]", "could not determine a constructor"),
        ("a: \x00", "special characters are not allowed"),
        ("? {a: 1}\n: 2", "expected text as a key"),
        ("[" * 3000, "expected valid YAML"),
    ],
)
def test_bad_yaml_is_one_message(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_yaml(text, "f.yaml")


def test_dump_then_parse_gives_equal_data() -> None:
    data = {"b": [1, 2.5, None, True], "a": {"x": 1e-30, "text": "1e-4", "more": "null"}}
    assert parse_yaml(dump_yaml(data), "text") == data
    assert list(parse_yaml(dump_yaml(data), "text")) == ["b", "a"]


def test_read_yaml_names_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*absent.yaml: No such file"):
        read_yaml(tmp_path / "absent.yaml")
    with pytest.raises(UserError, match="Is a directory"):
        read_yaml(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="UTF-8"):
        read_yaml(tmp_path / "binary.yaml")
