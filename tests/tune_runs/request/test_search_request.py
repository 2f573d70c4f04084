"""The command that resumes a request."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from absgd import records
from absgd.errors import UserError
from absgd.yaml_text import dump_yaml
from tests.support.fake_tuner import SPACE, make_space
from tests.support.run_folders import confirmed
from tune_runs.request.search_request import SearchRequest, new_request, resume_request, search_id
from tune_runs.request.space_files import space_from_dict
from tune_runs.space.model import SearchSpace
from tune_runs.space.space_sections import ConfirmConfig

REQUESTS: dict[str, dict[str, Any]] = {
    "absgd-tune --resume 'runs/my run'": {},
    "absgd-tune --resume 'runs/my run' --address 10.0.0.1:6379": {"address": "10.0.0.1:6379"},
    "absgd-tune --confirm 'runs/my run'": {"searches": False},
    "absgd-tune --confirm 'runs/my run' --address auto": {"searches": False, "address": "auto"},
}


@pytest.mark.parametrize("expected", REQUESTS)
def test_command_that_resumes(expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = SearchRequest(make_space(), tmp_path / "runs" / "my run", **REQUESTS[expected])
    assert request.resume_command == expected


def begun(folder: Path, space: SearchSpace, on_duplicate: str | None) -> SearchSpace:
    """Write a run folder with one recorded trial; None: an earlier version recorded it. Return the recorded space."""
    folder.mkdir()
    request = new_request(space, folder)
    request.begin()
    table = records.as_table(records.TRIAL_SCHEMA, [{"trial_id": "a", "on_duplicate": on_duplicate}])
    if on_duplicate is None:
        table = table.drop_columns(["on_duplicate"])
    records.write_table(folder / records.TRIALS_FILE, table)
    return request.space


def test_search_of_a_version_without_on_duplicate_resumes_with_its_duplicates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imgs").mkdir()
    space = make_space(base={**SPACE["base"], "data": {"name": "imagefolder", "root": "imgs"}})
    before = begun(tmp_path / "run", space, None)
    request = resume_request(tmp_path / "run", given=space)
    assert [part.data["on_duplicate"] for part in request.space.scenarios] == ["keep"] * 2
    assert request.space.decisive() == before.decisive()
    request.begin()
    assert resume_request(tmp_path / "run").space == request.space


def test_earlier_search_of_images_in_memory_resumes_as_it_was(tmp_path: Path) -> None:
    before = begun(tmp_path / "run", make_space(), None)
    assert resume_request(tmp_path / "run").space == before


def test_scenario_that_keeps_duplicates_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imgs").mkdir()
    base = {**SPACE["base"], "data": {"name": "imagefolder", "root": "imgs"}}
    first, second = SPACE["scenarios"]
    space = make_space(base=base, scenarios=[{**first, "data": {"on_duplicate": "keep"}}, second])
    before = begun(tmp_path / "run", space, "keep")
    assert resume_request(tmp_path / "run").space == before
    assert [part.data.get("on_duplicate") for part in before.scenarios] == ["keep", None]


@pytest.mark.parametrize("recorded", ["refuse", None])
def test_search_that_says_what_to_do_with_duplicates_resumes_as_it_says(tmp_path: Path, recorded: str | None) -> None:
    data = {"name": "digits", "on_duplicate": "refuse"}
    space = make_space(base={**SPACE["base"], "data": data}) if recorded is None else make_space()
    before = begun(tmp_path / "run", space, recorded)
    assert resume_request(tmp_path / "run").space == before


def test_what_happens_to_duplicates_is_not_decisive(tmp_path: Path) -> None:
    before = begun(tmp_path / "run", make_space(), "refuse")
    data = {"name": "digits", "on_duplicate": "keep"}
    assert resume_request(tmp_path / "run", given=make_space(base={**SPACE["base"], "data": data})).space == before


def test_search_of_a_version_without_seeds_has_one_pair_also_where_its_space_is_given_again(tmp_path: Path) -> None:
    space = make_space(seeds={"pairs": 1})
    begun(tmp_path / "run", space, "keep")
    file = tmp_path / "run" / records.SPACE_FILE
    file.write_text(yaml.safe_dump({key: value for key, value in space.to_dict().items() if key != "seeds"}))
    given = space_from_dict({key: value for key, value in SPACE.items() if key != "seeds"})
    assert given.seeds.pairs == 4
    for request in (resume_request(tmp_path / "run"), resume_request(tmp_path / "run", given=given)):
        assert request.space.seeds.pairs == 1
    with pytest.raises(UserError, match=r"must not change.*`seeds.pairs` was 1, is now 3"):
        resume_request(tmp_path / "run", given=make_space(seeds={"pairs": 3}))


def test_pairs_do_not_change_on_a_resume(tmp_path: Path) -> None:
    begun(tmp_path / "run", make_space(seeds={"pairs": 3}), "keep")
    assert resume_request(tmp_path / "run").space.seeds.pairs == 3
    with pytest.raises(UserError, match=r"`seeds.pairs` was 3, is now 1"):
        resume_request(tmp_path / "run", given=make_space(seeds={"pairs": 1}))


def test_margin_and_controls_do_not_change_once_scores_are_known(tmp_path: Path) -> None:
    folder = confirmed(tmp_path / "run")
    begun = {"max_pairs": 5, "controls": ["ce", "ce-lr"]}
    (folder / records.SPACE_FILE).write_text(dump_yaml(make_space(confirm=begun).to_dict()))
    more = resume_request(folder, given=make_space(confirm={**begun, "max_pairs": 9, "epoch_budget": 70}))
    assert more.space.confirm == ConfirmConfig(max_pairs=9, epoch_budget=70, controls=("ce", "ce-lr"))
    for changed, said in (
        ({"margin": 1.0}, r"expected `margin` 0.5, with which .* got 1 \(--space: confirm.margin\)"),
        ({"controls": ["ce"]}, r"expected `controls` ce, ce-lr, with which .* got ce \(--space: confirm.controls\)"),
    ):
        with pytest.raises(UserError, match=said):
            resume_request(folder, given=make_space(confirm={**begun, **changed}), option="--confirm")


@pytest.mark.parametrize("content", ["", "x' or 1 = 1", "a" * 65, "pipe"])
def test_damaged_id_is_refused_without_waiting_for_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / records.ID_FILE
    os.mkfifo(file) if content == "pipe" else file.write_text(content)
    with pytest.raises(UserError, match=r"\.id"):
        search_id(tmp_path)
