"""absgd-train fed with hostile files and words: exit status 0, or 2 with one message; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from absgd.cli import app
from absgd.config import RunConfig, setting_keys
from tests.support.hostile import (
    as_yaml,
    assert_done_or_refused,
    examples,
    is_word,
    mutated,
    scalars,
    spliced,
    tree,
    words,
    yaml_bytes,
)

SMALL: dict[str, Any] = {
    "data": {"name": "digits", "val_per_class": 10, "n_max": 20},
    "model": {"name": "resnet8"},
    "attention": {"lam": 2.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 1},
    "epochs": 3,
}
WHOLE: dict[str, Any] = RunConfig.from_dict(
    {
        **SMALL,
        "data": {"name": "imagefolder", "root": "images", "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]},
        "schedule": {"type": "step", "milestones": [1, 2]},
        "noise": {"type": "symmetric", "rate": 0.2},
        "class_balance": {"type": "reweight", "from_epoch": "switch"},
    }
).to_dict()
DOCUMENTS = [SMALL, WHOLE]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def show(here: Path, content: bytes, *words: str) -> Result:
    (here / "c.yaml").write_bytes(content)
    return call(here, "--config", "c.yaml", "--show", *words)


def call(here: Path, *words: str) -> Result:
    result = CliRunner().invoke(app, list(words))
    assert_done_or_refused(result, "absgd-train")
    assert tree(here) == ["c.yaml"]
    return result


@examples(120)
@given(content=st.one_of(yaml_bytes, spliced(DOCUMENTS)))
def test_any_bytes_as_config_are_shown_or_refused(here: Path, content: bytes) -> None:
    show(here, content)


@examples(120)
@given(document=mutated(DOCUMENTS))
def test_config_with_replaced_parts_is_shown_or_refused(here: Path, document: Any) -> None:
    result = show(here, as_yaml(document))
    if result.exit_code == 0:
        again = show(here, result.stdout.encode())
        assert (again.exit_code, again.stdout) == (0, result.stdout)


@examples(80)
@given(key=st.one_of(st.sampled_from(setting_keys()), words), value=st.one_of(scalars.map(str).filter(is_word), words))
def test_any_words_of_set_are_shown_or_refused(here: Path, key: str, value: str) -> None:
    show(here, as_yaml(SMALL), f"--set={key}={value}")


@examples(40)
@given(metric=words)
def test_any_metric_is_taken_or_refused(here: Path, metric: str) -> None:
    result = show(here, as_yaml(SMALL), f"--metric={metric}")
    assert result.exit_code == 2
    assert "(--metric)" in result.stderr


@examples(40)
@given(path=words)
def test_any_path_of_no_run_is_refused(here: Path, path: str) -> None:
    (here / "c.yaml").write_bytes(as_yaml(SMALL))
    for arguments in (
        [f"--config={path}/{path}", "--show"],
        [f"--recipe={path}", "--show"],
        [f"--resume=c.yaml/{path}"],
    ):
        assert call(here, *arguments).exit_code == 2
