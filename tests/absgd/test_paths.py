"""Paths that a user gives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from absgd.config import RunConfig
from absgd.datasets import load_splits
from absgd.errors import UserError
from absgd.models.pretrained_weights import read_weights
from absgd.paths import checked_folder, expanded, read_regular
from absgd.training import load_checkpoint
from absgd.yaml_text import MAX_BYTES, read_yaml

NOBODY = "~no-such-user/x"


def test_expanded_resolves_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert expanded("~/x", "data.root") == Path("/home/someone/x")
    assert expanded("a/~/x", "data.root") == Path("a/~/x")


def test_expanded_refuses_an_unknown_user() -> None:
    with pytest.raises(UserError, match=r"no home folder of `~no-such-user` is known \(data.root\)"):
        expanded(NOBODY, "data.root")


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist", "imagefolder", "tiny_imagenet"])
def test_unknown_user_in_data_root_is_one_message(name: str) -> None:
    config = RunConfig.from_dict({"data": {"name": name, "root": NOBODY}, "loss": {"name": "ce"}})
    with pytest.raises(UserError, match=r"~no-such-user.*\(data.root\)"):
        load_splits(config)


@pytest.mark.parametrize("path", ["a\0b", "a\nb", "\x1b[31m", "\u2028", "\udcff"])
@pytest.mark.parametrize("key", ["data.root", "model.weights"])
def test_config_refuses_control_characters_in_a_path(path: str, key: str) -> None:
    config = RunConfig.from_dict(
        {"data": {"name": "imagefolder"}, "model": {"name": "resnet18"}, "loss": {"name": "ce"}}
    )
    with pytest.raises(UserError, match=f"without control characters, got .*{key}"):
        config.with_values({key: path})


def test_checked_folder_accepts_existing_and_creatable_folders(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "new", tmp_path / "new" / "日本 é #%20", Path(), Path("..")):
        assert checked_folder(path, "--out") == path


def test_checked_folder_refuses_an_impossible_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, reason in {
        tmp_path / ("x" * 300): "File name too long",
        tmp_path / "file" / "x": "Not a directory",
        tmp_path / "new" / "..": "does not exist",
        tmp_path / "a\nb": "control characters",
    }.items():
        with pytest.raises(UserError, match=rf"{reason}.* \(--out\)"):
            checked_folder(path, "--out")


def test_read_regular_reads_up_to_the_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_regular(tmp_path / "file", 5) == b"12345"
    with pytest.raises(UserError, match="at most 4 bytes"):
        read_regular(tmp_path / "file", 4)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe without a writer."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.parametrize("read", [read_yaml, read_weights, load_checkpoint])
def test_readers_do_not_wait_for_a_pipe_or_a_device(read: object, pipe: Path) -> None:
    assert callable(read)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(UserError, match="a device or a pipe"):
            read(path)


def test_read_yaml_refuses_a_large_file(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_bytes(b"#" * MAX_BYTES + b"\n")
    with pytest.raises(UserError, match="at most 262,144 bytes"):
        read_yaml(tmp_path / "large.yaml")
