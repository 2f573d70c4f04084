"""A search resumes from any folder, and after its folders have moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from absgd import records
from absgd.errors import UserError
from tests.support import run_folders
from tests.support.fake_tuner import SPACE, FakeTuner, make_space, rising
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.request.search_request import SearchRequest, new_request, resume_request
from tune_runs.request.space_files import load_space, space_from_dict
from tune_runs.space.model import SearchSpace
from tune_runs.space.run_configs import control_config

OWN = {"name": "imagefolder", "root": "my imgs", "val_per_class": 2}


def space_of(**changes: Any) -> SearchSpace:
    base = {**SPACE["base"], "data": OWN}
    return space_from_dict(
        {**SPACE, "base": base, "scenarios": [{}, {"noise": {"type": "symmetric", "rate": 0.4}}], **changes}
    )


def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: SearchSpace | None = None) -> SearchRequest:
    """Begin a search in a folder of its own, then leave that folder."""
    here = tmp_path / "here"
    (here / "my imgs").mkdir(parents=True)
    monkeypatch.chdir(here)
    request = new_request(space or space_of(), Path("runs/own"))
    request.folder.mkdir(parents=True)
    request.begin()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return request


def test_scenarios_of_own_images_are_named_after_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = begun(tmp_path, monkeypatch)
    names = [scenario.name for scenario in request.space.scenario_list]
    assert names == ["my_imgs", "my_imgs-symmetric-0.4"]
    control = control_config(request.space, request.space.scenario_list[0])
    assert (control.data.title, control.data.root) == ("my imgs", f"{tmp_path}/here/my imgs")
    titled = space_of(base={**SPACE["base"], "data": {**OWN, "title": "Birds"}})
    assert [scenario.name for scenario in titled.scenario_list] == ["Birds", "Birds-symmetric-0.4"]


def test_a_search_resumes_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = begun(tmp_path, monkeypatch)
    again = resume_request(request.folder)
    assert again.space == request.space
    assert resume_request(tmp_path / "here" / "runs" / "own").folder == request.folder
    monkeypatch.chdir(tmp_path / "here")
    assert resume_request(Path("runs/own"), given=space_of()).space == request.space
    monkeypatch.chdir(tmp_path)
    assert resume_request(request.folder, given=space_of()).space == request.space
    assert f"`data.root` stays {tmp_path}/here/my imgs, as recorded: there is nothing at" in capsys.readouterr().err


def test_a_space_with_other_images_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = begun(tmp_path, monkeypatch)
    Path("my imgs").mkdir()
    message = rf"`--moved OLD=NEW`.*`base.data.root` was '{tmp_path}/here/my imgs', is now '{tmp_path}/elsewhere/my im"
    with pytest.raises(UserError, match=message):
        resume_request(request.folder, given=space_of())


def test_the_space_file_of_a_search_resumes_it_after_a_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "here", tmp_path / "there"
    given = space_of(base={**SPACE["base"], "data": {**OWN, "root": f"{old}/my imgs"}})
    begun(tmp_path, monkeypatch, given)
    old.rename(new)
    again = resume_request(new / "runs" / "own", given=given, moves={str(old): str(new)})
    assert again.space.base["data"]["root"] == f"{new}/my imgs"
    again.begin()
    assert resume_request(new / "runs" / "own", given=given).space == again.space


def test_a_move_of_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = begun(tmp_path, monkeypatch, space_of(trunks="trunks"))
    with pytest.warns(UserWarning, match=rf"begins with /x: they are {tmp_path}/here/my imgs, {tmp_path}/here/trunks"):
        resume_request(request.folder, moves={"/x": str(tmp_path)})


def test_the_default_folder_of_data_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "data").mkdir(parents=True)
    request = begun(tmp_path, monkeypatch, space_of(base={**SPACE["base"], "data": {"name": "cifar10"}}))
    assert request.space.scenarios[0].data["root"] == f"{tmp_path}/here/data"
    assert resume_request(request.folder).space == request.space
    monkeypatch.chdir(tmp_path / "here")
    given = space_of(base={**SPACE["base"], "data": {"name": "cifar10"}})
    assert resume_request(request.folder, given=given).space == request.space


def test_folders_that_have_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(tmp_path, monkeypatch, space_of(trunks="trunks"))
    old, new = tmp_path / "here", tmp_path / "there"
    old.rename(new)
    with pytest.raises(UserError, match=rf"expected {old}/my imgs, as when the run began.*--moved {old}/my imgs=NEW"):
        resume_request(new / "runs" / "own")
    again = resume_request(new / "runs" / "own", moves={str(old): str(new)})
    assert (again.folder, again.space.trunks) == (new / "runs" / "own", f"{new}/trunks")
    for scenario in again.space.scenario_list:
        control = control_config(again.space, scenario)
        assert (control.data.root, control.data.title) == (f"{new}/my imgs", "my imgs")
    again.begin()
    assert resume_request(new / "runs" / "own").space == again.space


def test_rows_of_a_search_follow_the_move(tmp_path: Path) -> None:
    builder = run_folders.RunFolderBuilder(tmp_path / "run")
    builder.add("t", run_folders.config(data__root="/old/imgs"), 0.5)
    folder = builder.write()
    recorder = Recorder(folder, records.SearchObjective((run_folders.METRIC,)), ScenarioImages())
    recorder.load(moves={"/old": "/new"})
    assert recorder.trials["t"].config.data.root == "/new/imgs"


def test_a_folder_of_the_version_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It kept relative paths and called every image folder `imagefolder`; its trials have absolute paths."""
    request = begun(tmp_path, monkeypatch)
    written = yaml.safe_load((request.folder / records.SPACE_FILE).read_text())
    written |= {"base": {**SPACE["base"], "data": OWN}}
    written["scenarios"] = [{**part, "name": None, "data": {}} for part in written["scenarios"]]
    (request.folder / records.SPACE_FILE).write_text(yaml.safe_dump(written))
    builder = run_folders.RunFolderBuilder(request.folder, scenario="imagefolder")
    root = f"{tmp_path}/here/my imgs"
    builder.add("t", run_folders.config(data__name="imagefolder", data__root=root), 0.5)
    builder.scenario = "imagefolder-symmetric-0.4"
    builder.add("u", run_folders.config(data__name="imagefolder", data__root=root), 0.5)
    trials = records.as_table(records.TRIAL_SCHEMA, builder.trials).drop_columns(["data_title"])
    records.write_table(request.folder / records.TRIALS_FILE, trials)
    again = resume_request(request.folder)
    assert [scenario.name for scenario in again.space.scenario_list] == ["imagefolder", "imagefolder-symmetric-0.4"]
    assert {control_config(again.space, one).data.root for one in again.space.scenario_list} == {root}
    again.begin()
    assert load_space(str(request.folder / records.SPACE_FILE)) == again.space


def test_names_of_folders_that_no_name_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, name in {
        "犬猫": "imagefolder",
        "...": "imagefolder",
        "Möbel (2)": "Mobel_2",
        "a" * 70: "a" * 32,
    }.items():
        space = space_of(base={**SPACE["base"], "data": {**OWN, "root": folder}})
        assert space.scenario_list[0].name == name
        new_request(space, tmp_path / "run")


def test_a_study_knows_its_search_after_a_move(tmp_path: Path) -> None:
    """The study of a search compares the settings that its trials were drawn from, not where files are."""
    here = make_space(confirm=None, num_trials=2)
    FakeTuner(here, tmp_path / "fake", rising).run()
    scenarios = [
        {**part.model_dump(mode="json"), "name": one.name}
        for part, one in zip(here.scenarios, here.scenario_list, strict=True)
    ]
    base = {**SPACE["base"], "data": {"name": "digits", "title": "digits", "root": "/there"}}
    moved_there = make_space(confirm=None, num_trials=3, scenarios=scenarios, base=base)
    tuner = FakeTuner(moved_there, tmp_path / "fake", rising)
    tuner.run()
    assert tuner.recorder.finished(here.scenario_list[0].name) == 3
    other = make_space(confirm=None, num_trials=3, scenarios=scenarios, base={**base, "epochs": 11})
    with pytest.raises(UserError, match=r"`base.epochs` was 10, is now 11"):
        FakeTuner(other, tmp_path / "fake", rising)


def test_a_control_whose_key_has_changed_is_trained_once(tmp_path: Path) -> None:
    """A path that decides stage one, as that of initial weights, gives its runs other keys after a move."""
    space = make_space(confirm=None, num_trials=2)
    FakeTuner(space, tmp_path / "fake", rising).run()
    file = tmp_path / "fake" / records.TRIALS_FILE
    rows = records.read_rows(file, records.TRIAL_SCHEMA)
    other = [{**row, "stage_one_key": "0" * 16} for row in rows]
    records.write_table(file, records.as_table(records.TRIAL_SCHEMA, other))
    tuner = FakeTuner(make_space(confirm=None, num_trials=3), tmp_path / "fake", rising)
    tuner.run(stop_after_results=300)
    assert tuner.searcher.is_done
    control = tuner.recorder.control(space.scenario_list[0].name)
    assert control is not None
    assert (control.status, control.stage_one_key != "0" * 16) == ("completed", True)


def test_confirm_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    space = {**SPACE, "confirm": {"top": 3, "seeds": 5, "controls": ["ce"]}}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
    found = resume_request(tmp_path).space.confirm
    assert found is not None
    assert (found.max_pairs, found.controls, found.margin) == (5, ("ce",), 0.5)
    (tmp_path / "space.yaml").write_text(yaml.safe_dump({**SPACE, "confirm": None}))
    assert resume_request(tmp_path).space.confirm is None
