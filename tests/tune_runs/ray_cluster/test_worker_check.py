"""Workers import what the driver imports, or the search is refused before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import ray

from tune_runs.ray_cluster.worker_check import (
    LIBRARIES,
    OWN_PACKAGES,
    Code,
    difference,
    imported_code,
    raylet_error,
)

HERE = [Code("absgd", "aaaa", "/here/absgd"), Code("torch", "2.6.0", "")]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            Code("absgd", "bbbb", "/there/absgd"),
            "expected workers that import `absgd` as it is in /here/absgd, got other files in /there/absgd",
        ),
        (
            Code("absgd", "ModuleNotFoundError: No module named 'absgd'", ""),
            "expected workers that can import `absgd`, as it is in /here/absgd, got ModuleNotFoundError: No module "
            "named 'absgd'",
        ),
        (Code("torch", "2.5.1", ""), "expected workers with torch 2.6.0, as here, got 2.5.1"),
        (Code("absgd", "aaaa", "/elsewhere/absgd"), None),
    ],
)
def test_difference_is_named(other: Code, message: str | None) -> None:
    there = [other if other.name == one.name else one for one in HERE]
    assert difference(HERE, there) == message


def test_files_of_our_packages_and_versions_of_libraries_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {name: (version, place) for name, version, place in imported_code(OWN_PACKAGES, (*LIBRARIES, "nothing"))}
    assert Path(found["absgd"][1], "cli.py").is_file()
    assert found["torch"][0].count("."), "a version without its build"
    assert "+" not in found["torch"][0]
    assert found["nothing"] == ("none", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "one_of_two").mkdir()
    (tmp_path / "one_of_two/__init__.py").write_text("")
    ((_, first, _),) = imported_code(("one_of_two",), ())
    (tmp_path / "one_of_two/more.py").write_text("x = 1")
    ((_, second, _),) = imported_code(("one_of_two",), ())
    assert first != second
    (tmp_path / "broken_one.py").write_text("raise RuntimeError('wrong package')")
    assert imported_code(("broken_one",), ()) == [("broken_one", "RuntimeError: wrong package", "")]


def test_worker_needs_none_of_our_packages_to_answer() -> None:
    ray.cloudpickle.register_pickle_by_value(__import__("tune_runs.ray_cluster.worker_check", fromlist=["x"]))
    alone = ray.cloudpickle.loads(ray.cloudpickle.dumps(imported_code))
    assert alone is not imported_code
    assert set(alone.__globals__) <= {"__builtins__", "__name__", "__package__", "__file__", "__path__"}
    assert alone(("absgd",), ()) == imported_code(("absgd",), ())


def test_error_of_the_raylet_is_shown(tmp_path: Path) -> None:
    assert raylet_error(tmp_path) == f"; see {tmp_path}"
    (tmp_path / "raylet.out").write_text("[I] all is well\n[E] Failed to start worker: bash: No such file\n[I] more\n")
    assert raylet_error(tmp_path) == (
        f"; its raylet says: [E] Failed to start worker: bash: No such file ({tmp_path / 'raylet.out'})"
    )


def test_module_of_one_file_is_hashed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one_file.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    ((_, first, _),) = imported_code(("one_file",), ())
    (tmp_path / "another_file.py").write_text("y = 2\n")
    assert imported_code(("one_file",), ()) == [("one_file", first, str(tmp_path))]
