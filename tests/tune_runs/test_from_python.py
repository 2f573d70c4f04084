"""A search asked for from Python: what it costs to import, and bad requests; no training."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import tune_runs
from absgd.errors import UserError
from tests.support.spaces import SPACE
from tune_runs import confirm, load_space, search
from tune_runs.ray_cluster.session import process_kept, set_environment
from tune_runs.run_copy.copier import copied_run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_import_of_search_loads_neither_torch_nor_ray() -> None:
    program = (
        "import sys, tune_runs; assert 'pydantic' not in sys.modules; from tune_runs import search, confirm;"
        "assert not {'torch', 'ray', 'optuna'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_exported_name_is_there() -> None:
    assert all(getattr(tune_runs, name).__name__ == name for name in tune_runs.__all__)
    assert tune_runs.confirm is confirm
    with pytest.raises(AttributeError, match="no attribute 'searches'"):
        _ = tune_runs.searches  # type: ignore[attr-defined]


def _begun(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "space.yaml").write_text(yaml.safe_dump(SPACE))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: search(3), "expected a SearchSpace, its mapping, its file or a shipped name, got 3 (space)"),  # type: ignore[arg-type]
        (lambda: load_space(3), "expected a file or a shipped name, got 3 (space)"),  # type: ignore[arg-type]
        (lambda: search("quickstrat"), "did you mean `quickstart`?"),
        (lambda: search({**SPACE, "epoch": 3}), "unknown key `epoch`"),
        (lambda: search(SPACE, addr="auto"), "unknown key `addr`"),
        (lambda: search(SPACE, num_trials=0), "expected `num_trials` >= 1, got 0 (search: num_trials)"),
        (lambda: search(SPACE, out="begun"), "(in Python `resume=True`)"),
        (lambda: search(SPACE, extend=2), "expected `extend` and `moved` with a search that is continued"),
        (lambda: search(SPACE, out="begun", resume=True, extend=-2), "expected a whole number `extend` >= 0, got -2"),
        (lambda: search(SPACE, extend="2"), "expected a whole number `extend` >= 0, got '2' (extend)"),  # type: ignore[arg-type]
        (lambda: search(SPACE, address=6379), "expected `auto` or HOST:PORT, got 6379 (address)"),  # type: ignore[arg-type]
        (lambda: confirm("begun/mine", address="a" * 301), "expected `auto` or HOST:PORT, got 'aaa"),
        (lambda: search(SPACE, resume=True, moved={"/a": "/"}), "`moved` with a search that is continued"),
        (lambda: search(SPACE, out="begun", resume=True, warm_start="begun/mine"), "`warm_start` with a new search"),
        (lambda: search(SPACE, out="begun", resume=True, num_trials=9), "`num_trials` 4, as recorded, got 9"),
        (lambda: search(SPACE, out="begun", resume=True, seed=9), "`seed` was 0, is now 9"),
        (lambda: search(SPACE, warm_start="nowhere"), "nowhere"),
        (lambda: search(SPACE, out="a\nb"), "path without control characters"),
        (lambda: search(SPACE, callbacks=[print]), "expected instances of `ray.tune.Callback`"),  # type: ignore[list-item]
        (lambda: search(SPACE, plugins="parts.py"), "expected a list of files, got 'parts.py' (plugins)"),
        (lambda: search(SPACE, plugins=["parts.py"]), "parts.py: No such file or directory (--plugin)"),
        (lambda: search(SPACE, plugins=None), "expected a list of files, got nothing (plugins)"),  # type: ignore[arg-type]
        (lambda: search(SPACE, plugins=[3]), "expected a path, got 3 (--plugin)"),  # type: ignore[list-item]
        (lambda: search(SPACE, callbacks=None), "expected a list of instances"),  # type: ignore[arg-type]
        (lambda: search(SPACE, out=3), "expected a path, got 3 (out)"),  # type: ignore[arg-type]
        (lambda: search(SPACE, out=b"x"), "expected a path, got b'x' (out)"),  # type: ignore[arg-type]
        (lambda: search(SPACE, warm_start=3), "expected a path, got 3 (warm_start)"),  # type: ignore[arg-type]
        (lambda: search(SPACE, address=3), "expected `auto` or HOST:PORT, got 3 (address)"),  # type: ignore[arg-type]
        (lambda: search(SPACE, console=3), "expected a Console of rich, got 3 (console)"),  # type: ignore[arg-type]
        (lambda: search(SPACE, extend=-1), "expected a whole number `extend` >= 0, got -1 (extend)"),
        (lambda: confirm("begun/mine", moved=["/a"]), "expected a mapping of folders to folders"),  # type: ignore[arg-type]
        (lambda: confirm("begun/mine", moved={"/a": 3}), "expected a path, got 3 (moved)"),  # type: ignore[dict-item]
        (lambda: confirm(None), "expected a path, got nothing (folder)"),  # type: ignore[arg-type]
        (lambda: confirm("nowhere"), "expected a run folder with space.yaml, found none in"),
        (lambda: confirm("begun/mine", pairs=0), "expected a whole number `pairs` >= 1, got 0 (pairs)"),
        (lambda: confirm("begun/mine", num_trials=3), "expected budgets (time_budget, "),
    ],
)
def test_bad_request_is_one_error_and_leaves_nothing(here: Path, ask: Callable[[], Any], message: str) -> None:
    _begun(here / "begun" / "mine")
    with pytest.raises(UserError) as raised:
        ask()
    assert message in str(raised.value)
    assert sorted(path.name for path in here.rglob("*")) == ["begun", "mine", "space.yaml"]


def test_run_that_is_nowhere_is_restored_from_its_storage_or_refused(here: Path) -> None:
    address = f"file://{here}/storage"
    with pytest.raises(UserError, match=r"expected a copy of gone in .*, found none"):
        confirm("runs/gone", storage=address)
    folder = here / "kept/gone"
    folder.mkdir(parents=True)
    for name, text in (("space.yaml", "name: 5"), (".id", "abc"), ("environment.json", '{"sessions": [{}]}')):
        (folder / name).write_text(text)
    with copied_run(folder, address):
        pass
    for ask in (
        lambda: confirm("runs/gone", storage=address),
        lambda: search("quickstart", name="gone", resume=True, storage=address),
    ):
        with pytest.raises(UserError, match=r"space\.yaml"):  # it is there, and is no space
            ask()
        shutil.rmtree(here / "runs/gone")


def test_load_space_takes_a_path_object(here: Path) -> None:
    (here / "mine.yaml").write_text(yaml.safe_dump(SPACE))
    assert load_space(here / "mine.yaml") == load_space("mine.yaml")


def test_process_is_given_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_DEDUP_LOGS", raising=False)
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "mine")
    environment, handler = dict(os.environ), signal.getsignal(signal.SIGUSR1)
    with process_kept():
        set_environment(is_local=True)
        assert os.environ["RAY_AIR_NEW_OUTPUT"] == os.environ["RAY_DEDUP_LOGS"] == "0"
        signal.signal(signal.SIGUSR1, lambda *_: None)
        del os.environ["PATH"]
    assert dict(os.environ) == environment
    assert signal.getsignal(signal.SIGUSR1) is handler
