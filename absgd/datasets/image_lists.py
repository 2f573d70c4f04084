"""Parsers of the text lists that name the images of a data set on disk; pure functions of text.

A line that is not in the format is not an error here: it is returned apart, with its number and the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from absgd.errors import shown

_MAX_DIGITS = 9
_BYTE_ORDER_MARK = "\ufeff"


class ListedImage(NamedTuple):
    """An entry of a list."""

    line: int
    """Number of the line, from 1."""
    path: str
    """Relative to the folder of the images."""
    label: int


class BadLine(NamedTuple):
    """A line that is not in the list's format."""

    line: int
    """Number of the line, from 1."""
    reason: str
    """``expected <rule>, got <value>``."""


class ImageList(NamedTuple):
    """Entries of a list and its lines that cannot be read, both in the order of the lines."""

    images: list[ListedImage]
    bad_lines: list[BadLine]


def parse_image_list(text: str) -> ImageList:
    """The images of a list with `relative/path label` on each line; empty lines are skipped.

    >>> parse_image_list("train/a b.jpg 3\\n\\ntrain/c.jpg\\n")  # doctest: +NORMALIZE_WHITESPACE
    ImageList(images=[ListedImage(line=1, path='train/a b.jpg', label=3)],
              bad_lines=[BadLine(line=3, reason="expected `relative/path label`, got 'train/c.jpg'")])

    Source: the lists of ImageNet-LT and Places-LT (arXiv 1904.05160) and of iNaturalist 2018 (arXiv 1910.09217).
    """
    return _paths_with_labels(text, _split, "`relative/path label`")


def parse_key_values(text: str) -> ImageList:
    """The images of a list with `relative/path label` or `"relative/path", label` on each line.

    With quotes, the label follows the last comma; the two forms may be mixed.

    >>> parse_key_values('"images/a, b.jpg", 3\\nimages/c.jpg 4\\n').images
    [ListedImage(line=1, path='images/a, b.jpg', label=3), ListedImage(line=2, path='images/c.jpg', label=4)]

    Source: the key-value lists of Clothing1M (CVPR 2015, Xiao et al.); with quotes, as the ABSGD repository reads them
    (noisy_label/noisyDataset.py).
    """
    return _paths_with_labels(text, _split_quoted, '`relative/path label` or `"relative/path", label`')


def parse_keys_with_labels(keys: str, labels: str) -> ImageList:
    """The images of a list with a path on each line, whose labels are in a second list.

    A path without a readable label, or with two different ones, is a bad line of the first list.

    >>> parse_keys_with_labels("images/b.jpg\\n", "images/a.jpg 1\\nimages/b.jpg 4\\n").images
    [ListedImage(line=1, path='images/b.jpg', label=4)]

    Args:
        keys: text of the list of paths.
        labels: text of a list as `parse_key_values` reads it.

    Source: Clothing1M's files as published (CVPR 2015, Xiao et al.): `*_key_list.txt` with `*_label_kv.txt`.
    """
    given = parse_key_values(labels).images
    label_of = {image.path: image.label for image in given}
    for image in given:
        if label_of.get(image.path, image.label) != image.label:
            del label_of[image.path]
    named = ((line, path, path) for line, path in _filled_lines(keys))
    return _labelled(named, label_of, "a path with one label in the list of labels")


def parse_val_annotations(text: str, label_of: Mapping[str, int]) -> ImageList:
    """Tiny-ImageNet's val_annotations.txt: name, class and four box corners on each line, between tabs.

    >>> parse_val_annotations("val_0.JPEG\\tn01443537\\t0\\t32\\t44\\t62\\n", {"n01443537": 5}).images
    [ListedImage(line=1, path='val/images/val_0.JPEG', label=5)]

    Args:
        text: of the file.
        label_of: class identifier (wnid) -> label.

    Source: the layout of tiny-imagenet-200 (Stanford CS231n).
    """
    fields = ((line, content.split("\t")) for line, content in _filled_lines(text))
    named = ((line, f"val/images/{field[0]}", field[1] if len(field) > 1 else "") for line, field in fields)
    return _labelled(named, label_of, "`name<tab>class` with a class of wnids.txt")


def parse_names(text: str) -> list[str]:
    """Return the names in a file with one name per line, as wnids.txt; empty lines are skipped.

    >>> parse_names("n01443537\\nn01629819\\n")
    ['n01443537', 'n01629819']
    """
    return [name for _, name in _filled_lines(text)]


def _paths_with_labels(text: str, split: Callable[[str], tuple[str, int | None]], rule: str) -> ImageList:
    """Images from lines with path and label; a line that lacks one, or has an absolute path, is bad."""
    parsed = ImageList([], [])
    for line, content in _filled_lines(text):
        path, label = split(content)
        if label is None:
            parsed.bad_lines.append(BadLine(line, f"expected {rule}, got {shown(content)}"))
        elif path.startswith("/") or "\0" in path:
            parsed.bad_lines.append(BadLine(line, f"expected a relative path, got {shown(path)}"))
        else:
            parsed.images.append(ListedImage(line, path, label))
    return parsed


def _labelled(named: Iterator[tuple[int, str, str]], label_of: Mapping[str, int], rule: str) -> ImageList:
    """Images from (line, path, key), labelled by their keys; a key without a label is a bad line."""
    parsed = ImageList([], [])
    for line, path, key in named:
        if key in label_of:
            parsed.images.append(ListedImage(line, path, label_of[key]))
        else:
            parsed.bad_lines.append(BadLine(line, f"expected {rule}, got {shown(key)}"))
    return parsed


def _filled_lines(text: str) -> Iterator[tuple[int, str]]:
    """Number, from 1, and content of the lines that are not blank. Split at line feeds alone, as editors number.

    A byte-order mark is left out where a line begins: lists that begin with one are joined, too.
    """
    for line, content in enumerate(text.split("\n"), start=1):
        if stripped := content.strip().lstrip(_BYTE_ORDER_MARK).strip():
            yield line, stripped


def _split(content: str) -> tuple[str, int | None]:
    """Path and label of a line; no label if the line is not in the format."""
    parts = content.rsplit(maxsplit=1)
    return (parts[0], _label(parts[1])) if len(parts) == 2 else (content, None)


def _split_quoted(content: str) -> tuple[str, int | None]:
    """Path and label of a line with or without quotes; no label if the line is in neither format."""
    if not content.startswith('"'):
        return _split(content)
    path, quote, rest = content[1:].partition('"')
    _, comma, label = rest.rpartition(",")
    return (path, _label(label.strip())) if path and quote and comma else (content, None)


def _label(digits: str) -> int | None:
    """A class id; None if the text is none."""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS else None
