"""YAML in and out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

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
        ("[" * 3000, "mappings and lists nested more than 32 deep"),
        ("1: 2", "expected text as a key, got 1"),
        ('"\\e[31m": 2', "expected a key of at most 200 printable characters"),
        ("x" * 201 + ": 2", "expected a key of at most 200 printable characters"),
        ('a: "\\ud800"', "unpaired surrogate"),
        ("a: " + "9" * 400, "a number of at most 300 characters"),
        ("a: 0x" + "f" * 400, "a number of at most 300 characters"),
        ("<<: {a: 1}\n<<: {b: 2}", "key `<<` given twice"),
    ],
)
def test_bad_yaml_is_one_message(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_yaml(text, "f.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            (word, word)
            for word in ("yes", "No", "on", "OFF", "y", "1:30", "1_0", "0b1", "2026-01-01", "<<", "=", "+0x2")
        ),
        ("010", 10),
        ("0o10", 8),
        ("0x2", 2),
        ("-7", -7),
        ("True", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("-.inf", float("-inf")),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    parsed = parse_yaml(f"x: {text}", "f.yaml")["x"]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    "text", ["!!int 1:30", "!!int 1_0", "!!float x", "!!bool yes", "!!timestamp 2026-01-01", "!!set {a}"]
)
def test_tags_do_not_restore_yaml_1_1(text: str) -> None:
    with pytest.raises(UserError, match="expected valid YAML"):
        parse_yaml(f"x: {text}", "f.yaml")


def test_text_that_looks_like_anything_else_is_dumped_as_text() -> None:
    words = [
        "yes",
        "off",
        "1:30",
        "010",
        "0o10",
        "0x2",
        "1_0",
        "1e4",
        "~",
        "",
        "null",
        "True",
        ".inf",
        ".nan",
        "<<",
        "=",
    ]
    assert parse_yaml(dump_yaml(words), "text") == words
    assert yaml.safe_load(dump_yaml(words)) == words


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


def test_text_that_is_not_utf_8_is_escaped() -> None:
    assert parse_yaml(dump_yaml({"caf\udce9": ["\ud800"]}), "x") == {r"caf\xe9": [r"\ud800"]}
