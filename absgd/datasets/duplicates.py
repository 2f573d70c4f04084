"""Images that are given more than once: in one part of a data set, or in two parts of it.

A copy of a training image in validation makes a run look better than it is, and a copy with another label teaches
the opposite. Shape legend: N images.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from absgd.counts import plural
from absgd.datasets.data_files import STAT_THREADS
from absgd.datasets.image_files import ImageFiles
from absgd.datasets.image_reading import error_at, fault_of
from absgd.errors import UserError
from absgd.paths import open_regular

OnDuplicate = Literal["refuse", "keep"]
_Read = Callable[[Path], object]

COMPARED_IN_FOLDERS = 50_000
"""Most images in a user's folders whose content is compared, to find equal files of other names: more take too long."""
COMPARED_IN_LISTS = 5_000
"""The same for lists: fewer than any published list has, since users cannot mend those."""
HEAD_BYTES = 4096
"""Bytes that are compared first of files of equal size; few different images begin with the same ones."""


class Repeated(NamedTuple):
    """Images that are given more than once."""

    num_again: int
    """Images that were given before."""
    num_two_labels: int
    """Those among them that were given before with another label."""
    first: tuple[int, int]
    """Positions of the first of them and of the image that it repeats, one with another label if there is one."""


def check_given_once(
    images: ImageFiles, identities: Sequence[str], on_duplicate: OnDuplicate, compare_up_to: int
) -> None:
    """Refuse images that are given more than once, or say how many there are.

    Args:
        images: of one part of a data set.
        identities: of each image, equal for two paths to one file.
        on_duplicate: `data.on_duplicate`.
        compare_up_to: most images of which the content is compared too, which opens those of equal size.

    Raises:
        UserError: with `refuse`, counting them and naming the first; with either, if the file system fails.
    """
    labels = images.labels_N.tolist()
    keys = content_keys(images, identities) if len(images) <= compare_up_to else identities
    if (found := repeated(keys, labels)) is None:
        return
    first, then = (f"{images.named(position)}, class {labels[position]}" for position in reversed(found.first))
    two_labels = f", {found.num_two_labels} with two labels" if found.num_two_labels else ""
    told = f"{plural(found.num_again, 'image')} given again{two_labels}"
    if on_duplicate == "refuse":
        raise UserError(
            f"expected every image once in {images.source}, got {told}: first {first}, then {then}; "
            f"`data.on_duplicate: keep` takes them as they are (data.on_duplicate)"
        )
    warnings.warn(f"{images.source}: kept {told} (data.on_duplicate)", stacklevel=1)


def check_not_shared(images: ImageFiles, shared: Sequence[int], other: str, on_duplicate: OnDuplicate) -> None:
    """Refuse images that another part of the data set has too, or say how many there are.

    Args:
        images: of one part of a data set.
        shared: positions of the images that the other part has.
        other: names the other part.
        on_duplicate: `data.on_duplicate`.

    Raises:
        UserError: with `refuse`, counting them and naming the first.
    """
    if not shared:
        return
    told = f"{plural(len(shared), 'image')} of {other} in {images.source}"
    if on_duplicate == "refuse":
        raise UserError(
            f"expected parts of the data that share no image, got {told}: first {images.named(shared[0])}; "
            "`data.on_duplicate: keep` takes them as they are (data.on_duplicate)"
        )
    warnings.warn(f"kept {told} (data.on_duplicate)", stacklevel=1)


def listed_identities(root: Path, paths: Sequence[str]) -> list[str]:
    """Return a path for each path in a list that is equal for all spellings of it, also through links to folders."""
    real: dict[str, str] = {}
    identities = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in real:
            real[folder] = os.path.realpath(root / folder)
        identities.append(f"{real[folder]}/{name}")
    return identities


def repeated(keys: Sequence[str], labels: Sequence[int]) -> Repeated | None:
    """Return which positions repeat the key of an earlier one; None if none does.

    >>> repeated(["a", "b", "a", "b"], [0, 1, 0, 2])
    Repeated(num_again=2, num_two_labels=1, first=(3, 1))
    """
    first_at: dict[str, int] = {}
    again = [(place, first_at[key]) for place, key in enumerate(keys) if first_at.setdefault(key, place) != place]
    if not again:
        return None
    two_labels = [pair for pair in again if labels[pair[0]] != labels[pair[1]]]
    return Repeated(len(again), len(two_labels), (two_labels or again)[0])


def content_keys(images: ImageFiles, identities: Sequence[str]) -> list[str]:
    """Return a key for each image that is equal for equal files: a hash decides where sizes and first bytes agree.

    Raises:
        UserError: if a file may not be read or the file system fails.
    """
    keys = list(identities)
    for group in _equal_files(len(images), partial(_asked, images), lambda group: len(group) > 1):
        for place in group:
            keys[place] = identities[group[0]]
    return keys


def shared_with(
    images: ImageFiles,
    identities: Sequence[str],
    other: ImageFiles,
    other_identities: Sequence[str],
    compare_up_to: int,
) -> frozenset[int]:
    """Return the positions of the images that another part has too: the same file, or an equal one.

    Args:
        images: of one part of a data set.
        identities: of each image, equal for two paths to one file.
        other: images of the other part; one of them that cannot be read is equal to none.
        other_identities: of each image of the other part.
        compare_up_to: most images of a part of which the content is compared too.

    Raises:
        UserError: if a file of `images` may not be read or the file system fails.
    """
    known, num_images = frozenset(other_identities), len(images)
    shared = frozenset(place for place, identity in enumerate(identities) if identity in known)
    if max(num_images, len(other)) > compare_up_to:
        return shared

    def ask(read: _Read, place: int) -> object:
        if place < num_images:
            return _asked(images, read, place)
        try:
            return read(other.path(place - num_images))
        except OSError:  # told where that part is read
            return object()

    groups = _equal_files(num_images + len(other), ask, lambda group: group[0] < num_images <= group[-1])
    return shared | {place for group in groups for place in group if place < num_images}


def _equal_files(
    num_files: int, ask: Callable[[_Read, int], object], counts: Callable[[Sequence[int]], bool]
) -> list[list[int]]:
    """Return the groups of equal files, positions in rising order; one that does not count is read no further."""
    groups = [list(range(num_files))]
    with ThreadPoolExecutor(STAT_THREADS) as pool:
        for read in (_size, _head, _digest):
            places = [place for group in groups for place in group]
            values = pool.map(partial(ask, read), places)
            alike: dict[object, list[int]] = defaultdict(list)
            for (number, place), value in zip(_numbered(groups), values, strict=True):
                alike[number, value].append(place)
            groups = [group for group in alike.values() if counts(group)]
    return groups


def _numbered(groups: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    return ((number, place) for number, group in enumerate(groups) for place in group)


def _asked(images: ImageFiles, read: _Read, place: int) -> object:
    try:
        return read(images.path(place))
    except OSError as error:
        raise error_at(images, place, fault_of(error)) from None


def _size(path: Path) -> int:
    return os.stat(path).st_size


def _head(path: Path) -> bytes:
    with open_regular(path) as file:
        return hashlib.sha256(file.read(HEAD_BYTES)).digest()


def _digest(path: Path) -> bytes:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").digest()
