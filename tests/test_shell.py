"""The commands at a shell: completion by typer's protocol, and `--version`, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from absgd import records
from absgd.config.recipes import shipped_recipes
from absgd.yaml_text import dump_yaml
from tests.support.fake_tuner import make_space
from tests.support.run_folders import METRIC, confirmed
from tests.support.waiting import TIMEOUT_S
from tune_runs.request.space_files import shipped_spaces

MAIN_OF = {"absgd-tune": "tune_runs.cli", "absgd-train": "absgd.cli", "absgd-report": "analysis.cli"}
COMMANDS = list(MAIN_OF)


def shell(command: str, *words: str, **environment: str) -> tuple[str, list[str]]:
    """Run a command as its script does; return its output, and the slow packages that it has imported."""
    code = f"""
import sys
sys.argv = {[command, *words]}
from {MAIN_OF[command]} import main
try:
    main()
finally:
    print(*sorted({{"torch", "ray", "optuna"}} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return done.stdout, done.stderr.split()


def completed(line: str) -> tuple[list[str], list[str]]:
    """Return the words that complete the last one of a line in bash, and the slow packages imported for it."""
    words = line.split(" ")
    variable = f"_{words[0].replace('-', '_').upper()}_COMPLETE"
    found, slow = shell(words[0], **{variable: "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)})
    return found.split(), slow


def test_options_shipped_spaces_and_recipes_are_completed_without_torch() -> None:
    assert completed("absgd-tune --space ") == (list(shipped_spaces()), [])
    assert completed("absgd-tune --space cif") == (["cifar10", "cifar100"], [])
    assert completed("absgd-tune --resu") == (["--resume"], [])
    assert completed("absgd-train --recipe cifar10_") == (["cifar10_exp_0.1"], [])
    assert set(completed("absgd-train --recipe ")[0]) == set(shipped_recipes())
    assert completed("absgd-report --form")[0] == ["--format"]


def test_path_is_left_to_the_shell() -> None:
    assert completed("absgd-tune --space search_spaces/cif") == ([], [])


@pytest.mark.parametrize("name", COMMANDS)
def test_script_for_the_shell_calls_the_command(name: str) -> None:
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    script, _ = shell(name, **{variable: "source_bash"})
    assert script.rstrip().endswith(f"complete -o default -F _{name.replace('-', '_')}_completion {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_version_is_that_of_the_package(name: str) -> None:
    output, slow = shell(name, "--version")
    assert output == f"absgd-tune {version('absgd-tune')}\n"
    assert slow == []


def test_status_and_list_read_files_without_torch_or_ray(tmp_path: Path) -> None:
    folder = confirmed(tmp_path / "run")
    scenarios = [{"name": "digits-exp-0.05", "imbalance": {"type": "exp", "ratio": 0.05}}]
    space = make_space(scenarios=scenarios, num_trials=16, metric=METRIC)
    (folder / records.SPACE_FILE).write_text(dump_yaml(space.to_dict()))
    output, slow = shell("absgd-tune", "--status", str(tmp_path / "run"))
    assert "digits-exp-0.05" in output
    assert slow == []
    output, slow = shell("absgd-tune", "--list", str(tmp_path))
    assert "16/16" in output
    assert slow == []
