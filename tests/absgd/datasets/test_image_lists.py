"""Parsers of list formats: the lines they accept and those they report as bad."""

from __future__ import annotations

import pytest

from absgd.datasets.image_lists import (
    BadLine,
    ListedImage,
    parse_image_list,
    parse_key_values,
    parse_keys_with_labels,
    parse_names,
    parse_val_annotations,
)


def test_image_list_takes_spaces_in_paths_blanks_around_and_any_line_end() -> None:
    parsed = parse_image_list("a/b c.jpg 3\r\n\n  \t\n d.jpg\t12 \nlast.jpg 0")
    assert parsed.images == [ListedImage(1, "a/b c.jpg", 3), ListedImage(4, "d.jpg", 12), ListedImage(5, "last.jpg", 0)]
    assert not parsed.bad_lines


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_image_list_counts_lines_as_editors_do(separator: str) -> None:
    assert [image.line for image in parse_image_list(f"a{separator}b.jpg 0\nc.jpg 1\n").images] == [1, 2]


@pytest.mark.parametrize("line", ["a.jpg", "7", "a.jpg x", "a.jpg -1", "a.jpg 1.0", "a.jpg ²", "a.jpg 1234567890"])
def test_image_list_line_without_path_and_label_is_bad(line: str) -> None:
    parsed = parse_image_list(f"ok.jpg 1\n{line}\nok.jpg 2\n")
    assert parsed.bad_lines == [BadLine(2, f"expected `relative/path label`, got {line!r}")]
    assert [image.line for image in parsed.images] == [1, 3]


def test_absolute_path_is_bad() -> None:
    assert parse_image_list("/data/a.jpg 1").bad_lines == [BadLine(1, "expected a relative path, got '/data/a.jpg'")]


def test_long_bad_line_is_shortened() -> None:
    assert len(parse_image_list("x" * 5000).bad_lines[0].reason) < 140


def test_key_values_take_the_authors_quotes_and_plain_lines() -> None:
    text = '"images/a b.jpg", 3\r\n\nimages/c.jpg 4\n"images/d, e.jpg",5 \n  "f.jpg", "0/f.jpg" , 0\n'
    parsed = parse_key_values(text)
    named = [(1, "images/a b.jpg", 3), (3, "images/c.jpg", 4), (4, "images/d, e.jpg", 5), (5, "f.jpg", 0)]
    assert parsed.images == [ListedImage(*image) for image in named]
    assert not parsed.bad_lines


@pytest.mark.parametrize(
    "line",
    ['"a.jpg" 3', '"a.jpg, 3', '"a.jpg", x', '"a.jpg", -1', '"a.jpg",', '"a.jpg"', '"", 3', '"', "a.jpg, x", "a.jpg"],
)
def test_key_values_line_in_neither_form_is_bad(line: str) -> None:
    parsed = parse_key_values(f'"ok.jpg", 1\n{line}\nok.jpg 2\n')
    rule = 'expected `relative/path label` or `"relative/path", label`'
    assert parsed.bad_lines == [BadLine(2, f"{rule}, got {line!r}")]
    assert [image.line for image in parsed.images] == [1, 3]


def test_key_values_refuse_an_absolute_path_between_quotes() -> None:
    assert parse_key_values('"/a.jpg", 1').bad_lines == [BadLine(1, "expected a relative path, got '/a.jpg'")]


def test_image_list_knows_no_quotes() -> None:
    assert parse_image_list('"a.jpg", 1').images == [ListedImage(1, '"a.jpg",', 1)]


def test_keys_take_their_labels_from_a_list_with_quotes() -> None:
    assert parse_keys_with_labels("a.jpg\n", '"a.jpg", 7\n').images == [ListedImage(1, "a.jpg", 7)]


def test_keys_take_their_labels_from_the_other_list_in_the_order_of_the_keys() -> None:
    parsed = parse_keys_with_labels("b.jpg\nc.jpg\na.jpg\n", "a.jpg 0\nb.jpg 1\nunused.jpg 2\n")
    assert parsed.images == [ListedImage(1, "b.jpg", 1), ListedImage(3, "a.jpg", 0)]
    assert parsed.bad_lines == [BadLine(2, "expected a path with one label in the list of labels, got 'c.jpg'")]


def test_val_annotations_name_files_and_classes() -> None:
    parsed = parse_val_annotations("val_0.JPEG\tn2\t0\t32\t44\t62\nval_1.JPEG\nval_2.JPEG\tn9\t0\t0\t1\t1\n", {"n2": 1})
    assert parsed.images == [ListedImage(1, "val/images/val_0.JPEG", 1)]
    assert [bad.line for bad in parsed.bad_lines] == [2, 3]
    assert "got 'n9'" in parsed.bad_lines[1].reason


def test_names_are_stripped_and_blank_lines_passed_over() -> None:
    assert parse_names("n1\r\n\n n2 \n") == ["n1", "n2"]


@pytest.mark.parametrize("mark", ["\ufeff", "\ufeff\ufeff", " \ufeff "])
def test_byte_order_marks_are_left_out_where_lines_begin(mark: str) -> None:
    text = f"{mark}images/a.jpg 0\r\n{mark}\r\n{mark}images/b.jpg 1\r\n"
    assert parse_image_list(text).images == [ListedImage(1, "images/a.jpg", 0), ListedImage(3, "images/b.jpg", 1)]
    assert parse_names(f"{mark}n1\n{mark}n2\n") == ["n1", "n2"]
