"""Spaces from files, shipped names, plain data and options."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from absgd.errors import UserError
from tests.support.spaces import make
from tune_runs.request.space_files import find_space, load_space, shipped_spaces, space_from_dict, with_options
from tune_runs.stopping.rungs import early_stopping


def test_space_round_trips_through_plain_data_and_pickle() -> None:
    space = make(
        {
            "scenarios": [{"imbalance": {"type": "exp", "ratio": 0.05}}, {"name": "b"}],
            "search/lam": {"low": 0.5, "high": 50, "log": True, "sign": [1, -1]},
            "search/loss.name": {"choices": ["abce"]},
            "search/optimizer.lr": {"low": 0.01, "high": 0.1, "when": {"loss.name": "abce"}},
            "base/schedule": {"type": "step", "milestones": [8]},
            "enqueue": [{"lam": -5}],
            "time_budget": "30m",
        }
    )
    assert early_stopping(space).latest_switch == 12
    assert space_from_dict(space.to_dict()) == space
    assert space_from_dict(space.to_dict()).to_dict() == space.to_dict()
    assert pickle.loads(pickle.dumps(space)).to_dict() == space.to_dict()


def test_with_options_checks_the_whole_space() -> None:
    space = with_options(make(), {"num_trials": 2, "name": "other", "time_budget": "30m"})
    assert (space.num_trials, space.name, space.time_budget) == (2, "other", 1800.0)
    with pytest.raises(UserError) as error:
        with_options(make(), {"num_trials": 0})
    assert str(error.value) == "expected `num_trials` >= 1, got 0 (command line: num_trials)"


@pytest.mark.parametrize("data", [None, [], 3, "text"])
def test_space_refuses_anything_but_a_mapping(data: object) -> None:
    with pytest.raises(UserError, match="expected the file to be a mapping of keys to values"):
        space_from_dict(data, "x.yaml")


def test_load_space_prefers_an_existing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = find_space("quickstart")
    (tmp_path / "quickstart").write_text(shipped.read_text().replace("name: quickstart", "name: local"))
    assert load_space("quickstart").name == "quickstart"
    monkeypatch.chdir(tmp_path)
    assert load_space("quickstart").name == "local"


@pytest.mark.parametrize("name", ["quikstart", "x" * 5000, "no/such.yaml"])
def test_load_space_lists_the_shipped_spaces(name: str) -> None:
    with pytest.raises(UserError) as error:
        load_space(name)
    guess = "; did you mean `quickstart`?" if name == "quikstart" else ""
    names = ", ".join(f"`{shipped}`" for shipped in shipped_spaces())
    assert "`cifar10`, `cifar100`, `clothing1m`, " in names
    assert str(error.value).startswith(f"expected a file or a shipped space ({names}), got ")
    assert str(error.value).endswith(f"{guess} (--space)")


def test_load_space_names_file_and_line_of_a_syntax_error(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("name: [x\n")
    with pytest.raises(UserError, match=rf"expected valid YAML.*\({file}: line 2"):
        load_space(str(file))


def test_load_space_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"cannot read {tmp_path}: Is a directory"):
        load_space(str(tmp_path))


def test_space_and_preview_import_no_heavy_library() -> None:
    code = (
        "import sys; import tune_runs.preview.preview_drawing as p\n"
        "from tune_runs.preview.search_preview import preview_search\n"
        "from tune_runs.request.space_files import load_space, space_schema\n"
        "from tune_runs.trunks.scenario_plan import plan_scenarios\n"
        "space = load_space('quickstart')\n"
        "p.draw_preview(preview_search(space, plan_scenarios(space), [(2, 0)])); space_schema()\n"
        "print([name for name in ('torch', 'ray', 'optuna', 'sklearn', 'pandas') if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
