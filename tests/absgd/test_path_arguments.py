"""Functions for users take a path as text as well as a Path."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from absgd import records
from absgd.errors import UserError
from absgd.training import load_checkpoint, save_checkpoint

PUBLIC = ("absgd", "absgd.config", "absgd.datasets", "absgd.losses", "absgd.models", "absgd.records", "absgd.training")


def functions(package: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the functions and methods that a package exports; what a dataclass holds is not read from users."""
    module = importlib.import_module(package)
    for name in module.__all__:
        found = getattr(module, name)
        if inspect.isfunction(found):
            yield name, found
        elif inspect.isclass(found) and not hasattr(found, "__dataclass_fields__"):
            methods = inspect.getmembers(found, lambda one: inspect.isfunction(one) or inspect.ismethod(one))
            yield from ((f"{name}.{method}", one) for method, one in methods if one.__module__.startswith("absgd"))


@pytest.mark.parametrize("package", PUBLIC)
def test_no_function_insists_on_a_path_object(package: str) -> None:
    strict = [
        f"{name}({argument})"
        for name, function in functions(package)
        for argument, kind in typing.get_type_hints(function).items()
        if argument != "return" and kind is Path
    ]
    assert strict == []


def test_checkpoints_and_tables_by_text(tmp_path: Path) -> None:
    save_checkpoint(f"{tmp_path}/a.pt", {"epoch": 3})
    assert load_checkpoint(f"{tmp_path}/a.pt") == {"epoch": 3}
    with pytest.raises(UserError, match="cannot read the checkpoint"):
        load_checkpoint(f"{tmp_path}/b.pt")
    records.write_table(f"{tmp_path}/t.parquet", records.as_table(records.LABEL_SCHEMA, [{"index": 1}]))
    assert records.read_rows(f"{tmp_path}/t.parquet", records.LABEL_SCHEMA)[0]["index"] == 1
    records.write_atomically(f"{tmp_path}/t.txt", "text")
    assert records.best_file(str(tmp_path), "a") == tmp_path / "best" / "a.yaml"
    assert records.snapshot_epochs(str(tmp_path)) == []
