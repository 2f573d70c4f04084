"""Plugins are loaded from files that the user names and from installed distributions, or refused with one message."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from absgd.config import RunConfig
from absgd.errors import UserError
from absgd.plugins import load_plugin
from absgd.registry.dataset_table import DATASETS
from absgd.registry.loss_table import LOSSES
from absgd.registry.model_table import MODELS
from absgd.registry.plugin_table import PLUGINS
from tests.support.own_parts import PARTS, RUN, installed, loaded

pytestmark = pytest.mark.usefixtures("own_tables")


def test_load_plugin_adds_its_parts_to_the_tables(tmp_path: Path) -> None:
    plugin = loaded(tmp_path)
    assert plugin.sha256 == hashlib.sha256(PARTS.encode()).hexdigest()
    assert {MODELS["net"].plugin, LOSSES["sharp"].plugin, DATASETS["stripes"].plugin} == {"parts.py"}


def test_load_plugin_passes_over_objects_that_raise_when_they_are_looked_at(tmp_path: Path) -> None:
    stand_in = """
class Later:
    def __getattr__(self, name):
        raise RuntimeError("not yet")
later = Later()
"""
    assert loaded(tmp_path, PARTS + stand_in).name == "parts.py"


def test_load_plugin_refuses_a_file_that_no_record_would_take_for_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected a file that ends in `.py`, got .*parts\.txt"):
        loaded(tmp_path, name="parts.txt")


def test_load_plugin_again_replaces_its_parts(tmp_path: Path) -> None:
    loaded(tmp_path)
    loaded(tmp_path, PARTS.replace('"sharp"', '"keen"'))
    assert "keen" in LOSSES
    assert "sharp" not in LOSSES
    assert len(PLUGINS) == 1


def test_source_has_the_annotations_that_it_has_as_a_module_of_its_own(tmp_path: Path) -> None:
    loaded(tmp_path, f"{PARTS}\n\ndef typed(x: int): ...\n\n\nassert typed.__annotations__ == {{'x': int}}\n")


TWICE = """
build_again = build_net


@model("wide")
class Wide(nn.Linear):
    def __init__(self, config, in_channels, num_classes):
        super().__init__(in_channels, num_classes)


class Wider(Wide):
    pass
"""


def test_part_with_two_names_in_its_module_or_a_class_below_it_is_declared_once(tmp_path: Path) -> None:
    loaded(tmp_path, PARTS + TWICE)
    assert {"net", "wide"} <= set(MODELS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import absent_module", "line 1 raised ModuleNotFoundError: No module named 'absent_module'"),
        ("x = 1\n\n1 / 0", "line 3 raised ZeroDivisionError: division by zero"),
        ("def f(:", "line 1 raised SyntaxError: invalid syntax"),
        ("import sys\nsys.exit('no')", "line 2 raised SystemExit: no"),
        ("import pytest\npytest.skip(allow_module_level=True)", "line 2 raised Skipped"),
        ("def f(): ...", "expected a function decorated with `@model`, `@loss` or `@data_set`"),
        (PARTS.replace('"net"', '"resnet8"'), "expected a model name that is not taken, got `resnet8`"),
        (PARTS.replace('"sharp"', '"focal"'), "expected a loss name that is not taken, got `focal`"),
        (PARTS.replace('"sharp"', '"abrupt"'), "expected a loss name that does not begin with `ab`, got `abrupt`"),
        (PARTS.replace('"stripes"', '"Stripes 1"'), "expected a name of small letters, digits and `_`"),
        (PARTS.replace("power: float", "power: list[float]"), "expected option `power` of loss `sharp` to be of type"),
        (PARTS.replace("channels=1,", "channels=3, mean=[0.5],"), "UserError: expected `mean` of 3 values, got 1 (--p"),
        (PARTS.replace("channels=1,", "channels=1, class_names=['a'],"), "expected `class_names` of 3 values, got 1"),
        (PARTS.replace("channels=1,", "channels=1, in_memory=False,"), "expected `channels` 3 with `in_memory=False`"),
        (PARTS.replace("options=NetOptions", "heads=['cos']"), "expected classifiers out of linear, cosine, got cos"),
        (
            f"{PARTS}\nlam = model('lamb')(lambda *_: None)\n",
            "a function or class at the top level of its module, got <la",
        ),
        (
            PARTS.replace("default=4,", "default=4, alias='w',"),
            "expected option `width` of model `net` without an alias",
        ),
        (PARTS.replace("options=NetOptions", "options=dict"), "expected `options` to be a subclass of"),
        (PARTS.replace('"stripes"', "3"), "expected a name of small letters, digits and `_`, got 3"),
        (PARTS.replace("num_classes=3", "num_classes=1"), "expected `num_classes` of data `stripes` to be a whole"),
        (PARTS.replace("channels=1", "channels=2"), "expected `channels` of data `stripes` to be 1 or 3, got 2"),
        (PARTS.replace("side=8)", "side=8, std=(0.0,))"), "expected `std` of data `stripes` > 0, got (0.0,)"),
        (PARTS.replace("side=8)", "side=8, crop='none')"), "expected `crop` of data `stripes` out of padded, resized"),
    ],
)
def test_load_plugin_refuses_what_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        loaded(tmp_path, text)
    assert message in str(caught.value)
    assert "parts.py" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not PLUGINS
    assert "net" not in MODELS


def test_load_plugin_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*absent\.py: No such file or directory \(--plugin\)"):
        load_plugin(tmp_path / "absent.py")


def test_two_plugins_cannot_have_the_same_file_name(tmp_path: Path) -> None:
    first = loaded(tmp_path)
    (tmp_path / "other").mkdir()
    assert loaded(tmp_path / "other") == first, "the same text is the same plugin"
    with pytest.raises(UserError, match=r"plugins with different file names, got \S+/parts\.py and \S+other/parts"):
        loaded(tmp_path / "other", f"{PARTS}# changed\n")


def test_load_plugin_takes_one_that_another_process_has_loaded(tmp_path: Path) -> None:
    plugin = loaded(tmp_path)
    (tmp_path / "parts.py").unlink()
    for table, name in ((LOSSES, "sharp"), (MODELS, "net"), (DATASETS, "stripes"), (PLUGINS, "parts.py")):
        del table[name]  # type: ignore[attr-defined]
    assert load_plugin(pickle.loads(pickle.dumps(plugin))) == plugin
    assert MODELS["net"].plugin == "parts.py"


def test_two_plugins_cannot_declare_the_same_name(tmp_path: Path) -> None:
    loaded(tmp_path)
    with pytest.raises(UserError, match=r"not taken, got `net` \(plugin `others\.py`\)"):
        loaded(tmp_path, name="others.py")


INSTALLED = """
import sys
from absgd.config import RunConfig
assert "own_package" not in sys.modules
config = RunConfig.from_dict({"data": {"name": "digits"}, "model": {"name": "net"}, "loss": {"name": "ce"}})
assert "own_package" in sys.modules
print(*config.plugins)
assert RunConfig.from_dict(config.to_dict()) == config
import pickle
assert pickle.loads(pickle.dumps(config)) == config
"""


def test_installed_parts_are_loaded_when_a_config_names_them(tmp_path: Path) -> None:
    installed(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", INSTALLED], env=environment, capture_output=True, text=True, check=False
    )
    assert not done.stderr
    assert done.stdout.startswith("own-package sha256:")


def test_installed_part_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    settings = {"data": {"name": "digits"}, "model": {"name": "net"}, "loss": {"name": "ce"}}
    try:
        with pytest.raises(UserError, match=r"got another one \(.*\): install the earlier version, or begin a new run"):
            RunConfig.from_dict({**settings, "plugins": [f"own-package sha256:{'0' * 64}"]})
    finally:
        sys.modules.pop("own_package", None)


def test_name_of_two_installed_distributions_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[absgd.models]\ntwin = {name}:build\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError) as caught:
        RunConfig.from_dict({"data": {"name": "digits"}, "model": {"name": "twin"}, "loss": {"name": "ce"}})
    assert "expected one installed distribution with the model `twin`, found `first` and `second`" in str(caught.value)


def test_file_is_never_loaded_because_a_config_names_it(tmp_path: Path) -> None:
    loaded(tmp_path)
    settings = RunConfig.from_dict(RUN).to_dict()
    for table in (LOSSES, MODELS, DATASETS, PLUGINS):
        for name in ("sharp", "net", "stripes", "parts.py"):
            table.pop(name, None)  # type: ignore[attr-defined]
    with pytest.raises(UserError) as caught:
        RunConfig.from_dict(settings, "run.yaml")
    expected = "expected plugin `parts.py`, with which this run was made: add `--plugin PATH/parts.py`"
    assert str(caught.value) == f"{expected} (run.yaml: plugins)"
