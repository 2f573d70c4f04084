"""Paths of settings are recorded absolute, and followed when they have moved."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from absgd.config.locations import (
    check_places,
    data_title,
    moved,
    parse_moves,
    warn_of_unused_moves,
    with_moved_paths,
    with_recorded_places,
)
from absgd.errors import UserError


def folder_of(name: str, root: str | None = None) -> dict[str, Any]:
    return {"data": {"name": name, **({"root": root} if root else {})}}


def test_relative_paths_mean_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = {**folder_of("imagefolder", "imgs"), "model": {"name": "resnet18", "weights": "w.pt"}, "epochs": 3}
    found = with_recorded_places(given)
    assert found["data"] == {"name": "imagefolder", "root": f"{tmp_path}/imgs", "title": "imgs"}
    assert found["model"]["weights"] == f"{tmp_path}/w.pt"
    assert given["data"] == {"name": "imagefolder", "root": "imgs"}
    assert with_recorded_places(found) == found


@pytest.mark.parametrize("root", [".", "../mine", "sub/.."])
def test_titles_of_roots_that_end_with_dots(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine")
    assert with_recorded_places(folder_of("imagefolder", root))["data"]["title"] == "mine"


def test_titles_that_are_given_or_of_published_data() -> None:
    assert data_title({"data": {"name": "imagefolder", "root": "imgs", "title": "My Birds"}}) == "My Birds"
    assert data_title({"data": {"name": "cifar10", "root": "imgs", "title": "cleaned"}}) == "cleaned"
    assert data_title(folder_of("cifar10", "imgs")) is None
    assert data_title(folder_of("imagefolder", "/")) is None


def test_the_default_folder_is_that_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert with_recorded_places(folder_of("cifar10")) == folder_of("cifar10")
    (tmp_path / "data").mkdir()
    assert with_recorded_places(folder_of("cifar10"))["data"]["root"] == f"{tmp_path}/data"
    assert with_recorded_places(folder_of("digits")) == folder_of("digits")


def test_paths_that_have_moved() -> None:
    moves = {"/old/imgs": "/new", "imgs": "/found"}
    settings = {**folder_of("imagefolder", "/old/imgs/a"), "model": {"weights": "/old/imgs.pt"}}
    found = with_moved_paths(settings, moves)
    assert (found["data"]["root"], found["model"]["weights"]) == ("/new/a", "/old/imgs.pt")
    assert moved("imgs", moves) == "/found"
    assert moved("/old/imgs", {"/": "/mnt"}) == "/mnt/old/imgs"


def test_moves_as_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new=here").mkdir()
    assert parse_moves(["/old=new=here"], "--moved") == {"/old": f"{tmp_path}/new=here"}
    assert parse_moves(["/o=l=d=new=here"], "--moved") == {"/o=l=d": f"{tmp_path}/new=here"}
    for word, old in {"/old/=new=here": "/old", "/=new=here": "/"}.items():
        assert parse_moves([word], "--moved") == {old: f"{tmp_path}/new=here"}
    for word in ("/old", "=/new", "/old="):
        with pytest.raises(UserError, match="expected OLD=NEW"):
            parse_moves([word], "--moved")
    with pytest.raises(UserError, match=r"found no .*absent .*--moved"):
        parse_moves(["/old=absent"], "--moved")


def test_a_move_of_nothing_is_named_with_the_recorded_paths() -> None:
    settings = [folder_of("imagefolder", "/old/imgs"), folder_of("digits")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_unused_moves({"/old": "/new", "/trunks": "/new", "/": "/new"}, settings, ["/trunks", None])
    with pytest.warns(UserWarning, match=r"no recorded path is or begins with /ol: they are /old/imgs \(--moved\)"):
        warn_of_unused_moves({"/ol": "/new"}, settings)
    with pytest.warns(UserWarning, match="with /old: there are none"):
        warn_of_unused_moves({"/old": "/new"}, [])


def test_a_place_that_is_gone_is_named_with_the_option(tmp_path: Path) -> None:
    check_places(folder_of("imagefolder", str(tmp_path)), "--resume")
    check_places(folder_of("imagefolder", "~"), "--resume")
    with pytest.raises(UserError, match=r"expected /gone/imgs.*`--moved /gone/imgs=NEW` \(--resume: data.root\)"):
        check_places(folder_of("imagefolder", "/gone/imgs"), "--resume")
