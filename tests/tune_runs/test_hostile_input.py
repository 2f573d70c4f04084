"""absgd-tune fed with hostile spaces and words: exit status 0, or 2 with one message; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from tests.support.fake_tuner import SPACE
from tests.support.hostile import (
    as_yaml,
    assert_done_or_refused,
    examples,
    mutated,
    numbers,
    scalars,
    spliced,
    texts,
    tree,
    values,
    words,
    yaml_bytes,
)
from tune_runs.cli import app
from tune_runs.request.space_files import load_space
from tune_runs.space.setting_names import searchable_names

WHOLE: dict[str, Any] = {
    **load_space("quickstart").to_dict(),
    "scenarios": [
        {"name": "one", "imbalance": {"type": "exp", "ratio": 0.1}},
        {"noise": {"type": "symmetric", "rate": 0.2}},
    ],
    "search": {
        "loss.name": {"choices": ["ce", "abce", "abldam"]},
        "model.head": {"choices": ["cosine"], "when": {"loss.name": "abldam"}},
        "lam": {"low": 0.5, "high": 50, "log": True, "sign": [1, -1], "when": {"loss.name": ["abce", "abldam"]}},
        "gamma": {"low": 0.1, "high": 1.0, "step": 0.1, "when": {"loss.name": ["abce", "abldam"]}},
        "ab_alpha": {"choices": [0.1, 0.5], "when": {"loss.name": ["abce", "abldam"]}},
        "switch_epoch": {"type": "int", "low": 3, "high": 9, "step": 2, "when": {"loss.name": ["abce", "abldam"]}},
        "optimizer.lr": {"low": 0.01, "high": 0.5, "log": True},
    },
    "enqueue": [{"loss.name": "ce"}, {"optimizer.lr": 0.1}],
    "early_stopping": {"rule": "age_then_epoch", "reduction_factor": 3, "grace_period": 2},
    "resources": {"cpu": 1.0, "gpu": 0.25},
    "time_budget": 3600.0,
    "trunks": "kept",
}
_SEARCHED = ("loss", "attention", "class_balance")  # the last one acts with a switch, which `ce` does not have
WHOLE["base"] = {key: value for key, value in WHOLE["base"].items() if key not in _SEARCHED}
DOCUMENTS = [SPACE, WHOLE]

parameters = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["int", "float", "categorical"]),
        "low": numbers,
        "high": numbers,
        "step": numbers,
        "log": st.booleans(),
        "choices": st.lists(scalars, max_size=4),
        "sign": st.lists(st.sampled_from([1, -1, 0]), max_size=3),
        "when": st.dictionaries(st.sampled_from(searchable_names()), values, max_size=2),
    },
)
searches = st.dictionaries(st.one_of(st.sampled_from(searchable_names()), texts), parameters, max_size=4)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def preview(here: Path, content: bytes, *options: str) -> Result:
    (here / "s.yaml").write_bytes(content)
    return call(here, "--space", "s.yaml", "--preview", *options)


def call(here: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert_done_or_refused(result, "absgd-tune")
    assert tree(here) == ["s.yaml"]
    return result


def test_documents_to_mutate_are_valid(here: Path) -> None:
    for document in DOCUMENTS:
        assert preview(here, as_yaml(document)).exit_code == 0


@examples(100)
@given(content=st.one_of(yaml_bytes, spliced(DOCUMENTS)))
def test_any_bytes_as_space_are_previewed_or_refused(here: Path, content: bytes) -> None:
    preview(here, content)


@examples(100)
@given(document=mutated(DOCUMENTS, st.one_of(scalars, parameters, searches)))
def test_space_with_replaced_parts_is_previewed_or_refused(here: Path, document: Any) -> None:
    preview(here, as_yaml(document))


@examples(100)
@given(search=searches)
def test_any_search_is_previewed_or_refused(here: Path, search: dict[str, Any]) -> None:
    preview(here, as_yaml({**SPACE, "search": {**SPACE["search"], **search}}))


OPTIONS = ("--name", "--out", "--trunks", "--time-budget")


@examples(50)
@given(option=st.sampled_from(OPTIONS), word=words)
def test_any_word_of_an_option_is_previewed_or_refused(here: Path, option: str, word: str) -> None:
    preview(here, as_yaml(SPACE), f"{option}={word}")


@examples(40)
@given(word=words)
def test_any_word_that_names_no_space_or_run_is_refused(here: Path, word: str) -> None:
    (here / "s.yaml").write_bytes(as_yaml(SPACE))
    assert call(here, f"--space={word}/{word}", "--preview").exit_code == 2
    assert call(here, f"--resume=s.yaml/{word}").exit_code == 2


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        "nope",
        ":",
        "a:",
        "\x1b[31m:1",
        "127.0.0.1:\u00b2",
        "127.0.0.1:" + "9" * 5000,
        "a..b:1",
        "x" * 70 + ":1",
    ],
)
def test_invalid_address_is_refused(here: Path, address: str) -> None:
    (here / "s.yaml").write_bytes(as_yaml(SPACE))
    result = call(here, "--space=s.yaml", "--preview", f"--address={address}")
    assert result.exit_code == 2
    assert "(--address)" in result.stderr
