"""Images in folders: links, cycles, system folders, special files, and folders that cannot be listed."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from absgd.datasets.image_folders import PassedOver, class_folders, images_below
from absgd.errors import UserError
from tests.support.unprivileged import unprivileged_folder


def touched(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def found(root: Path, folder: str = "a") -> tuple[list[str], dict[str, int]]:
    """Paths of the images in a folder, and what was passed over."""
    passed_over = PassedOver()
    return [image.path for image in images_below(root, folder, passed_over)], dict(passed_over.counts)


def test_images_at_any_depth_in_the_order_of_their_paths(tmp_path: Path) -> None:
    touched(tmp_path, "a/2.png", "a/10.PNG", "a/b/c/1.jpeg", "a/b.tif", "a/notes.txt")
    assert found(tmp_path) == (["a/10.PNG", "a/2.png", "a/b.tif", "a/b/c/1.jpeg"], {})


def test_identity_is_the_path_where_no_link_leads_to_it(tmp_path: Path) -> None:
    images = images_below(touched(tmp_path, "a/1.png", "a/b/2.png"), "a", PassedOver())
    assert [image.identity for image in images] == [image.path for image in images]


# Links.


def test_link_to_its_own_folder_ends(tmp_path: Path) -> None:
    touched(tmp_path, "a/1.png", "a/b/2.png")
    for name in ("latest", "newest", "b/up"):
        (tmp_path / "a" / name).symlink_to("." if "/" not in name else "..")
    assert found(tmp_path) == (["a/1.png", "a/b/2.png"], {"link to a folder around it": 3})


def test_links_to_each_other_end(tmp_path: Path) -> None:
    touched(tmp_path, "a/1.png", "x/2.png")
    (tmp_path / "a" / "x").symlink_to(tmp_path / "x")
    (tmp_path / "x" / "a").symlink_to(tmp_path / "a")
    assert found(tmp_path) == (["a/1.png", "a/x/2.png"], {"link to what is there already": 1})


def test_folder_that_two_links_lead_to_counts_once_under_the_first_name(tmp_path: Path) -> None:
    touched(tmp_path, "x/1.png", "x/y/2.png", "a/0.png")
    for name, target in (("m", "x/y"), ("n", "x"), ("o", "x")):
        (tmp_path / "a" / name).symlink_to(tmp_path / target)
    assert found(tmp_path) == (["a/0.png", "a/m/2.png", "a/n/1.png"], {"link to what is there already": 2})


def test_real_folder_comes_before_a_link_to_it_of_an_earlier_name(tmp_path: Path) -> None:
    touched(tmp_path, "a/z/1.png")
    (tmp_path / "a" / "b").symlink_to("z")
    assert found(tmp_path) == (["a/z/1.png"], {"link to what is there already": 1})


def test_linked_file_counts_once(tmp_path: Path) -> None:
    touched(tmp_path, "a/1.png", "store/blob", "store/2.png")
    links = {"0.png": "1.png", "b.png": "../store/blob", "c.png": "../store/blob", "d.png": "../store/2.png"}
    for name, target in links.items():
        (tmp_path / "a" / name).symlink_to(target)
    assert found(tmp_path) == (["a/1.png", "a/b.png", "a/d.png"], {"link to what is there already": 2})
    identities = {image.path: image.identity for image in images_below(tmp_path, "a", PassedOver())}
    assert identities == {"a/1.png": "a/1.png", "a/b.png": "store/blob", "a/d.png": "store/2.png"}


def test_identity_is_the_same_for_two_classes_that_lead_to_one_folder(tmp_path: Path) -> None:
    touched(tmp_path, "a/1.png")
    (tmp_path / "b").symlink_to("a")
    assert images_below(tmp_path, "b", PassedOver())[0][:2] == ("b/1.png", "a/1.png")


def test_link_out_of_the_data_set_is_followed(tmp_path: Path) -> None:
    touched(tmp_path, "root/a/1.png", "elsewhere/2.png")
    (tmp_path / "root" / "a" / "more").symlink_to(tmp_path / "elsewhere")
    images = images_below(tmp_path / "root", "a", PassedOver())
    real = os.path.realpath(tmp_path)
    assert [image[:2] for image in images] == [("a/1.png",) * 2, ("a/more/2.png", f"{real}/elsewhere/2.png")]


def test_image_link_that_leads_nowhere_is_a_missing_image(tmp_path: Path) -> None:
    touched(tmp_path, "a/1.png")
    (tmp_path / "a" / "2.png").symlink_to("gone.png")
    (tmp_path / "a" / "3.png").symlink_to("3.png")
    (tmp_path / "a" / "notes.txt").symlink_to("gone.txt")
    images = images_below(tmp_path, "a", PassedOver())
    assert [(image.path, image.is_missing) for image in images] == [
        ("a/1.png", False),
        ("a/2.png", True),
        ("a/3.png", True),
    ]


def test_link_to_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    touched(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "a" / "more").symlink_to(tmp_path / "unmounted")
    with pytest.raises(UserError, match=rf"got a link that leads nowhere: {tmp_path}/a/more \(data\.root\)"):
        found(tmp_path)
    (tmp_path / "c.v2").symlink_to(tmp_path / "unmounted")
    with pytest.raises(UserError, match=rf"got a link that leads nowhere: {tmp_path}/c\.v2 \(data\.root\)"):
        class_folders(tmp_path, PassedOver())


# Things that are no images.


def test_system_folders_hidden_files_and_other_kinds_are_passed_over_and_counted(tmp_path: Path) -> None:
    touched(tmp_path, "a/1.png", "a/@eaDir/1.png", "a/.Trash-0/1.png", "a/b/__MACOSX/1.png")
    touched(tmp_path, "a/.ipynb_checkpoints/1.png", "a/#recycle/1.png", "a/$RECYCLE.BIN/1.png")
    touched(tmp_path, "a/._1.png", "a/.DS_Store", "a/b/2.gif", "a/b/3.heic", "a/.4.png.icloud", "a/Thumbs.db")
    counts = {"hidden or system folder": 6, "hidden file": 1, "image of a kind that is not read": 3}
    assert found(tmp_path) == (["a/1.png"], counts)


def test_pipes_sockets_and_devices_are_passed_over_without_waiting(tmp_path: Path) -> None:
    touched(tmp_path, "a/1.png")
    os.mkfifo(tmp_path / "a" / "f.png")
    os.mkfifo(tmp_path / "a" / "notes.txt")
    (tmp_path / "a" / "zero.png").symlink_to("/dev/zero")
    assert found(tmp_path) == (["a/1.png"], {"pipe, socket or device": 2})


def test_folder_with_the_name_of_an_image_is_a_folder(tmp_path: Path) -> None:
    assert found(touched(tmp_path, "a/1.png/2.png")) == (["a/1.png/2.png"], {})


def test_classes_are_folders_and_links_to_folders(tmp_path: Path) -> None:
    touched(tmp_path, "train/b/1.png", "train/@eaDir/1.png", "train/.cache/1.png", "train/1.png", "train/readme.md")
    touched(tmp_path, "elsewhere/1.png")
    for name, target in (("a", "../elsewhere"), ("latest", "."), ("data", "..")):
        (tmp_path / "train" / name).symlink_to(target)
    passed_over = PassedOver()
    assert class_folders(tmp_path / "train", passed_over) == ["a", "b"]
    assert dict(passed_over.counts) == {
        "hidden or system folder": 2,
        "image outside the class folders": 1,
        "link to a folder around it": 2,
    }


def test_what_is_passed_over_is_said_once_with_examples(tmp_path: Path) -> None:
    passed_over = PassedOver()
    passed_over.add("hidden file", "a/._1.png")
    passed_over.add("link to a folder around it", "a/latest")
    passed_over.add("link to a folder around it", "b/latest")
    with pytest.warns(UserWarning, match="passed over") as caught:
        passed_over.warn(tmp_path)
    assert [str(one.message) for one in caught] == [
        f"{tmp_path}: passed over 1 hidden file (a/._1.png); 2 links to folders around them (a/latest, ...)"
    ]


# Folders that cannot be read.


def test_folder_that_may_not_be_listed_is_an_error() -> None:
    with unprivileged_folder() as root:
        touched(root, "a/1.png", "a/b/2.png")
        (root / "a" / "b").chmod(0)
        with pytest.raises(UserError, match=rf"cannot list {root}/a/b: Permission denied \(data\.root\)"):
            found(root)
        (root / "a" / "b").chmod(0o400)
        with pytest.raises(UserError, match=rf"{root}/a/b.*: Permission denied \(data\.root\)"):
            found(root)
        (root / "l").symlink_to("a/b")
        (root / "a").chmod(0)
        with pytest.raises(UserError, match=rf"cannot read {root}/l: Permission denied"):
            class_folders(root, PassedOver())


class _Lost:
    """The entries of a folder on a network that fails after the first one."""

    def __init__(self, entries: Any, code: int) -> None:
        self._entries, self._code = entries, code

    def __enter__(self) -> Any:
        yield_first = next(self._entries)

        def failing() -> Any:
            yield yield_first
            raise OSError(self._code, os.strerror(self._code))

        return failing()

    def __exit__(self, *_error: object) -> None:
        self._entries.close()


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_file_system_that_fails_in_the_middle_is_an_error(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched(tmp_path, "a/1.png", "a/2.png")
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: _Lost(real(folder), code))
    with pytest.raises(UserError, match=rf"cannot list {tmp_path}/a: {os.strerror(code)} \(data\.root\)"):
        found(tmp_path)
    with pytest.raises(UserError, match=rf"expected the folder {tmp_path}.*{os.strerror(code)}"):
        class_folders(tmp_path, PassedOver())


def test_folder_names_that_are_not_utf_8_are_read_and_escaped_in_messages(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/a/caf\xe9"
    os.makedirs(folder)
    with open(folder + b"/\xff.png", "wb"):
        pass
    paths, _ = found(tmp_path)
    assert [os.fsencode(path) for path in paths] == [b"a/caf\xe9/\xff.png"]
    os.symlink(b"gone", folder + b"/more")
    with pytest.raises(UserError, match=r"a link that leads nowhere: .*/a/caf\\xe9/more"):
        found(tmp_path)
