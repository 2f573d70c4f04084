"""A report can be written to files, links and pipes, but not to folders."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.cli import app
from analysis.report.report_output import write_text


def call(*words: str | Path) -> tuple[int, str, str]:
    """Run the command; return exit status, standard output and standard error."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("kind", ["csv", "html"])
def test_a_pipe_is_written_into(search_folder: Path, tmp_path: Path, kind: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    holder = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # so that neither end waits for ever
    found: list[bytes] = []

    def drain() -> None:
        with open(pipe, "rb") as file:
            found.append(file.read())

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    status, _, _ = call(search_folder, "--format", kind, "--out", pipe)
    os.close(holder)
    assert status == 0
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
    reader.join(timeout=120)
    assert found[0].startswith(b"folder,scenario" if kind == "csv" else b"<!DOCTYPE html>")


def test_names_that_are_not_utf_8_are_written_into_a_device_as_into_a_file(tmp_path: Path) -> None:
    write_text("/dev/null", "caf\udce9")
    write_text(tmp_path / "x.md", "caf\udce9")
    assert (tmp_path / "x.md").read_text() == r"caf\xe9"


@pytest.mark.parametrize("kind", ["csv", "html"])
def test_a_folder_is_refused(search_folder: Path, tmp_path: Path, kind: str) -> None:
    status, _, error = call(search_folder, "--format", kind, "--out", tmp_path)
    assert status == 2
    assert error == f"absgd-report: error: expected a file, got the folder {tmp_path} (--out)\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "begins"),
    [("x.md", "# Best"), ("x.tex", "% needs"), ("x.CSV", "folder,"), ("x.html", "<!DOCTYPE"), ("x.v2", "<!DOCTYPE")],
)
def test_the_suffix_tells_the_format(search_folder: Path, tmp_path: Path, name: str, begins: str) -> None:
    assert call(search_folder, "--out", tmp_path / name)[0] == 0
    assert (tmp_path / name).read_text().startswith(begins)


@pytest.mark.parametrize(
    ("name", "kind", "wanted"),
    [
        ("x.md", "html", "a file of .html or .htm for --format html"),
        ("x.html", "csv", "a file of .csv for --format csv"),
        ("x.pdf", None, "a file of .html, .htm, .md, .tex, .csv"),
        ("x.json", "csv", "a file of .html, .htm, .md, .tex, .csv"),
    ],
)
def test_a_suffix_of_another_format_is_refused(
    search_folder: Path, tmp_path: Path, name: str, kind: str | None, wanted: str
) -> None:
    words = ["--format", kind] if kind else []
    status, _, error = call(search_folder, "--out", tmp_path / name, *words)
    assert status == 2
    assert error == f"absgd-report: error: expected {wanted}, got {tmp_path / name} (--out)\n"
    assert list(tmp_path.iterdir()) == []


def test_a_format_and_a_suffix_of_none(search_folder: Path, tmp_path: Path) -> None:
    assert call(search_folder, "--format", "md", "--out", tmp_path / "x.txt")[0] == 0
    assert (tmp_path / "x.txt").read_text().startswith("# Best")


def test_a_link_stays_a_link(search_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
    (tmp_path / "target.csv").write_text("old")
    assert call(search_folder, "--format", "csv", "--out", tmp_path / "link.csv")[0] == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text().startswith("folder,scenario")


def test_file_that_cannot_be_created_is_named_as_given(search_folder: Path, tmp_path: Path) -> None:
    name = tmp_path / ("x" * 250)
    status, _, error = call(search_folder, "--format", "csv", "--out", name)
    assert status == 1
    assert error == f"absgd-report: error: [Errno 36] File name too long: '{name}'\n"
