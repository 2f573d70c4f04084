"""The suites of `absgd.testing`, on the parts of docs/examples and on one that is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.own_parts import PARTS, written

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "docs" / "examples"
PAGE = (ROOT / "docs" / "own-parts.md").read_text()


def outcome(folder: Path, plugin: Path, text: str) -> str:
    """Run a test file next to a plugin; return what pytest prints."""
    (folder / "my_parts.py").write_text(plugin.read_text())
    (folder / "test_my_parts.py").write_text(text)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0", "--rootdir", str(folder)]
    return subprocess.run([*words, str(folder)], cwd=folder, capture_output=True, text=True, check=False).stdout


def test_suites_pass_on_the_examples_with_the_lines_of_the_page(tmp_path: Path) -> None:
    lines = re.search(r"^    from absgd\.plugins import load_plugin\n(    .*\n|\n(?=    ))*", PAGE, re.M)
    assert lines is not None
    text = "\n".join(line.removeprefix("    ") for line in lines[0].splitlines())
    subprocess.run([sys.executable, EXAMPLES / "make_shapes.py", tmp_path / "shapes"], check=True)
    found = outcome(tmp_path, EXAMPLES / "own_parts.py", text)
    assert re.search(r"\d\d passed", found), found
    assert "failed" not in found, found


WRONG = """
from absgd.plugins import load_plugin
from absgd.testing import LossTests, ModelTests

load_plugin("my_parts.py")


class TestSharp(LossTests):
    entry = "sharp"


class TestNet(ModelTests):
    entry, side = "net", 8
"""


def test_suites_name_what_is_wrong_with_a_part(tmp_path: Path) -> None:
    wrong = PARTS.replace("labels_B, class_weights_C)", "labels_B, class_weights_C) + logits_BC[0, 0]").replace(
        "        nn.Conv2d(in_channels", "        nn.Identity(), nn.Conv2d(in_channels"
    )
    folder = tmp_path / "plugin"
    folder.mkdir()
    found = outcome(tmp_path, written(folder, wrong), WRONG)
    assert "FAILED test_my_parts.py::TestSharp::test_permuted_batch_permutes_losses" in found, found
    assert "TestNet" not in "".join(re.findall(r"FAILED.*", found))
