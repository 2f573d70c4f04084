"""The images in folders: each real folder and each real file once, whatever links lead to them.

All else is passed over and counted: hidden and system folders, pipes and devices, links to files that are there
already. A folder that cannot be listed is an error, never an empty folder.
"""

from __future__ import annotations

import heapq
import os
import stat
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from absgd.datasets.data_files import check_entered
from absgd.errors import UserError
from absgd.paths import is_absent

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Suffixes of image files in folders, in lower or upper case."""
OTHER_IMAGE_SUFFIXES = (
    *(".apng", ".avif", ".dcm", ".dng", ".exr", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jxl", ".npy"),
    *(".icloud", ".pbm", ".pnm", ".psd", ".raw", ".svg", ".tga"),
)
"""Suffixes of image files that are not read, and of images that are not downloaded: they are counted in a warning."""
_SYSTEM_FOLDERS = frozenset(
    {
        *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "@__thumb", "#recycle", "#snapshot", "~snapshot"),
        *("__macosx", "__pycache__", "$recycle.bin", "system volume information", "lost+found"),
    }
)
"""Folders, in lower case, that file servers, archivers and systems add; those that begin with a dot are hidden."""

HIDDEN_FOLDER = "hidden or system folder"
HIDDEN_FILE = "hidden file"
LINK_BACK = "link to a folder around it"
LINK_AGAIN = "link to what is there already"
SPECIAL = "pipe, socket or device"
OTHER_KIND = "image of a kind that is not read"
OUTSIDE = "image outside the class folders"
_PLURALS = {
    HIDDEN_FOLDER: "hidden or system folders",
    HIDDEN_FILE: "hidden files",
    LINK_BACK: "links to folders around them",
    LINK_AGAIN: "links to what is there already",
    SPECIAL: "pipes, sockets or devices",
    OTHER_KIND: "images of a kind that is not read",
    OUTSIDE: "images outside the class folders",
}


_Kind = Literal["folder", "file", "special", "nothing"]
"""Kind of what is at a path: `special` is a pipe, a socket or a device, `nothing` a link that leads nowhere."""


class FoundImage(NamedTuple):
    """An image file in a folder."""

    path: str
    """Relative to the root of the data set, by the names and links that lead to it."""
    identity: str
    """Where the file really is; equal for two paths to one file. The same as `path` where no link leads to it."""
    is_missing: bool = False
    """Whether it is a link that leads nowhere."""


@dataclass
class PassedOver:
    """Files and folders passed over in one part of a data set."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, path: str) -> None:
        """Count a path."""
        self.counts[kind] += 1
        self.examples.setdefault(kind, path)

    def warn(self, source: Path) -> None:
        """Say once how many there are of each kind, with the first of each."""
        if self.counts:
            listed = "; ".join(
                f"{count} {kind if count == 1 else _PLURALS[kind]} ({self.examples[kind]}{', ...' * (count > 1)})"
                for kind, count in self.counts.items()
            )
            warnings.warn(f"{source}: passed over {listed}", stacklevel=2)


def class_folders(folder: Path, passed_over: PassedOver) -> list[str]:
    """Return the names of the class folders in a folder, in order.

    Raises:
        UserError: if the folder cannot be listed, or holds a link that leads nowhere: it may be a class.
    """
    names = []
    try:
        entries = _entries(folder)
    except UserError as error:
        raise UserError(f"expected the folder {folder} with a folder of images for each class: {error}") from None
    real = os.path.realpath(folder)
    for entry in entries:
        kind = _kind(entry)
        if kind == "nothing" and not entry.name.startswith("."):
            raise _leads_nowhere(entry.path)
        if kind != "folder":
            if _is_image(entry.name) and not entry.name.startswith("."):
                passed_over.add(OUTSIDE, entry.name)
        elif _is_hidden_folder(entry.name):
            passed_over.add(HIDDEN_FOLDER, entry.name)
        elif entry.is_symlink() and _is_around(os.path.realpath(entry.path), real):
            passed_over.add(LINK_BACK, entry.name)
        else:
            names.append(entry.name)
    return names


def images_below(root: Path, folder: str, passed_over: PassedOver) -> list[FoundImage]:
    """Return the images in a folder at any depth, in the order of their paths.

    Folders that fewer links lead to come first: of several paths to one folder or file, the one with the fewest links
    counts, then the first by name.

    Args:
        root: root of the data set.
        folder: relative to `root`.
        passed_over: counts all that is no image.

    Raises:
        UserError: if a folder cannot be listed, or a link that may lead to a folder leads nowhere.
    """
    return sorted(_Walk(root, passed_over).images(folder))


class _Folder(NamedTuple):
    """A folder to visit; the order of its fields is the order of visits."""

    num_links: int
    path: str
    real: str


class _Walk:
    """One walk through a folder."""

    def __init__(self, root: Path, passed_over: PassedOver) -> None:
        self._root, self._passed_over = root, passed_over
        self._real_root = os.path.realpath(root)
        self._waiting: list[_Folder] = []
        self._images_of: dict[str, list[str]] = {}
        """Real folder -> names of the images in it that are no links."""
        self._links: list[tuple[int, str, str]] = []
        """Number of links that lead to it, path and target of each link to an image."""
        self._missing: list[str] = []
        """Paths of the links with an image's name that lead nowhere."""

    def images(self, folder: str) -> Iterator[FoundImage]:
        self._waiting = [_Folder(0, folder, os.path.realpath(self._root / folder))]
        while self._waiting:
            here = heapq.heappop(self._waiting)
            if here.real in self._images_of:
                self._passed_over.add(LINK_AGAIN, here.path)
                continue
            names = self._images_of[here.real] = self._visit(here)
            identity = self._identity(here.real)
            for name in names:
                path = f"{here.path}/{name}"
                yield FoundImage(path, path if here.path == identity else f"{identity}/{name}")
        yield from (FoundImage(path, path, is_missing=True) for path in self._missing)
        yield from self._linked_images()

    def _visit(self, here: _Folder) -> list[str]:
        """Return the names of a folder's images that are no links; remember its folders and links."""
        names = []
        for entry in _entries(self._root / here.path):
            kind = _kind(entry)
            if kind == "file" and _is_read(entry.name) and not entry.is_symlink():
                names.append(entry.name)
            else:
                self._put_aside(here, entry, kind)
        return names

    def _put_aside(self, here: _Folder, entry: os.DirEntry[str], kind: _Kind) -> None:
        """Remember or count an entry that is no image file itself."""
        path = f"{here.path}/{entry.name}"
        if kind == "folder":
            self._remember(here, entry, path)
        elif kind == "nothing" and "." not in entry.name:
            raise _leads_nowhere(entry.path)
        elif kind != "file" and _is_image(entry.name):
            self._not_a_file(kind, entry.name, path)
        elif reason := _not_read(entry.name):
            self._passed_over.add(reason, path)
        elif _is_image(entry.name):
            self._links.append((here.num_links, path, os.path.realpath(entry.path)))

    def _not_a_file(self, kind: _Kind, name: str, path: str) -> None:
        if kind == "nothing" and not name.startswith("."):
            self._missing.append(path)
        elif kind == "special":
            self._passed_over.add(SPECIAL, path)

    def _remember(self, here: _Folder, entry: os.DirEntry[str], path: str) -> None:
        """Visit a folder later, unless it is hidden or leads back."""
        if _is_hidden_folder(entry.name):
            self._passed_over.add(HIDDEN_FOLDER, path)
        elif not entry.is_symlink():
            heapq.heappush(self._waiting, _Folder(here.num_links, path, f"{here.real.rstrip('/')}/{entry.name}"))
        elif _is_around(real := os.path.realpath(entry.path), here.real):
            self._passed_over.add(LINK_BACK, path)
        else:
            heapq.heappush(self._waiting, _Folder(here.num_links + 1, path, real))

    def _linked_images(self) -> Iterator[FoundImage]:
        """The images that only links lead to, each once."""
        names_of = {folder: frozenset(self._images_of.get(folder, ())) for folder in self._folders_of_targets()}
        taken: set[str] = set()
        for _, path, target in sorted(self._links):
            folder, name = os.path.split(target)
            if name in names_of[folder] or target in taken:
                self._passed_over.add(LINK_AGAIN, path)
            else:
                taken.add(target)
                yield FoundImage(path, self._identity(target))

    def _folders_of_targets(self) -> Iterable[str]:
        return {os.path.dirname(target) for _, _, target in self._links}

    def _identity(self, real: str) -> str:
        return real.removeprefix(f"{self._real_root.rstrip('/')}/")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of a folder, in the order of their names.

    Raises:
        UserError: if it cannot be listed whole, or its files cannot be opened.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror or error} (data.root)") from None
    check_entered(folder)
    return found


def _kind(entry: os.DirEntry[str]) -> _Kind:
    """Return the kind of an entry, for a link that of its target. Only links cost a question to the file system.

    Raises:
        UserError: if nobody can tell.
    """
    try:
        if entry.is_file(follow_symlinks=False):
            return "file"
        if not entry.is_symlink():
            return "folder" if entry.is_dir(follow_symlinks=False) else "special"
        mode = os.stat(entry.path).st_mode
    except OSError as error:
        if is_absent(error) and entry.is_symlink():
            return "nothing"
        raise UserError(f"cannot read {entry.path}: {error.strerror or error} (data.root)") from None
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "special"


def _leads_nowhere(path: str) -> UserError:
    return UserError(f"expected a file or a folder, got a link that leads nowhere: {path} (data.root)")


def _not_read(name: str) -> str | None:
    """Return why a file that may be an image is passed over; None if it is read, or no image."""
    if name.lower().endswith(OTHER_IMAGE_SUFFIXES):
        return OTHER_KIND
    return HIDDEN_FILE if name.startswith(".") and _is_image(name) else None


def _is_read(name: str) -> bool:
    return not name.startswith(".") and _is_image(name)


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _is_hidden_folder(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def _is_around(real: str, inner: str) -> bool:
    """Whether a real folder is `inner` or one of the folders around it."""
    return f"{inner}/".startswith(f"{real.rstrip('/')}/")
