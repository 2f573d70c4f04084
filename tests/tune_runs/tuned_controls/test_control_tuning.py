"""Searches with tuned controls on curves: what is trained, stopped, confirmed and taken home, also after a kill."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from absgd.config import RunConfig
from tests.support.fake_searches import EXP, assert_same, trials
from tests.support.fake_tuner import FakeTuner
from tests.support.kills import Killed, killed_at
from tests.support.tuned_searches import curve, run, space_of, with_noise


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> FakeTuner:
    return run(tmp_path_factory.mktemp("tuned") / "run")


def test_tuned_runs_are_rows_of_their_own_phase(whole: FakeTuner) -> None:
    rows = trials(whole.recorder.folder).query("phase == 'tuning'")
    assert set(rows.candidate) == {"cb-ce-drw-tuned", "ce-posthoc-tuned", "focal-tuned"}
    assert set(rows.pair) == {0}
    assert rows.test_accuracy.isna().all()
    assert set(rows.status) <= {"completed", "pruned"}


def test_forks_train_only_what_follows_their_fork(whole: FakeTuner) -> None:
    rows = trials(whole.recorder.folder).query("phase == 'tuning'").set_index("candidate")
    assert set(rows.loc["ce-posthoc-tuned"].epochs_trained) == {1}
    assert rows.loc["cb-ce-drw-tuned"].epochs_trained.max() <= 7
    assert set(rows.loc["focal-tuned"].epochs_inherited) == {0}


def test_runs_of_a_control_with_its_own_stage_one_are_stopped_early(whole: FakeTuner) -> None:
    rows = trials(whole.recorder.folder).query("candidate == 'focal-tuned' and phase == 'tuning'")
    assert set(rows.query("status == 'pruned'").epochs_trained) <= {5, 8}
    assert (rows.status == "pruned").any()
    assert set(trials(whole.recorder.folder).query("candidate == 'ce-posthoc-tuned'").status) == {"completed"}


def test_best_of_each_control_is_confirmed(whole: FakeTuner) -> None:
    frame = trials(whole.recorder.folder)
    confirmed = frame.query("phase == 'confirm'")
    others = {"cb-ce-drw-tuned", "ce-posthoc-tuned", "focal-tuned"}
    assert set(confirmed.candidate) == {"best-1", "ce", *others}, "`ce` equals the tuned plain control"
    for name, tried in frame.query("phase == 'tuning' and status == 'completed'").groupby("candidate"):
        best = tried.sort_values("metric_last").iloc[-1]
        rows = confirmed[confirmed.candidate == name]
        for column in ("weight_decay", "focal_gamma", "posthoc_tau", "class_balance_beta"):
            assert set(rows[column]) == {best[column]}
    assert set(confirmed.query("candidate == 'ce'").weight_decay) == {1.0e-3}


def test_a_control_that_wins_is_taken_home(whole: FakeTuner) -> None:
    folder = whole.recorder.folder
    text = (folder / "best" / f"{EXP}.yaml").read_text()
    best = RunConfig.from_dict(yaml.safe_load(text))
    assert best.loss.name == "focal"
    assert "the control focal-tuned" in text
    own = RunConfig.from_yaml(folder / "best" / f"{EXP}-absgd.yaml")
    assert own.attention is not None


def test_absgd_is_taken_home_where_it_beats_every_tuned_control(tmp_path: Path) -> None:
    controls = {"tuned": True, "methods": ["ce", "cb-ce-drw"]}
    tuner = run(tmp_path / "run", controls=controls, confirm={"max_pairs": 4, "controls": ["ce"]})
    texts = [(tmp_path / "run" / "best" / f"{EXP}{end}.yaml").read_text() for end in ("", "-absgd")]
    assert texts[0] == texts[1]
    rounds = tuner.confirmations[EXP].rounds
    assert rounds is not None
    findings = {name: one.comparison.finding for name, one in rounds.last().items()}
    assert findings["ce"] == findings["cb-ce-drw-tuned"] == "better"


def test_a_search_without_tuned_controls_has_one_best_file(tmp_path: Path) -> None:
    run(tmp_path / "run", controls={}, confirm=None)
    assert [path.name for path in (tmp_path / "run" / "best").iterdir()] == [f"{EXP}.yaml"]
    assert "tuning" not in set(trials(tmp_path / "run").phase)


def test_images_of_the_search_stay_while_controls_are_tuned(whole: FakeTuner) -> None:
    seeds = [config.seeds.data for config in whole.read]
    assert seeds.count(0) == 1
    assert not whole.store.keys, "all are released at the end"


def test_stage_ones_are_trained_once(whole: FakeTuner) -> None:
    controls = trials(whole.recorder.folder).query("phase == 'control'")
    assert sorted(controls.weight_decay) == [2.0e-4, 1.0e-3]
    assert set(controls.epochs_trained) == {10}


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search whose runs follow each other, as those of the killed ones."""
    folder = tmp_path_factory.mktemp("in_order") / "whole"
    FakeTuner(space_of(), folder, curve, concurrent=1, test_score=with_noise).run()
    return folder


@pytest.mark.parametrize("moment", [20, 60, 100, 140])
def test_a_killed_search_ends_as_an_uninterrupted_one(
    in_order: Path, moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "killed"
    with pytest.raises(Killed), killed_at(moment, monkeypatch):
        FakeTuner(space_of(), folder, curve, concurrent=1, test_score=with_noise).run()
    FakeTuner(space_of(), folder, curve, concurrent=1, test_score=with_noise).run()
    assert_same(in_order, folder)
    for name in (f"{EXP}.yaml", f"{EXP}-absgd.yaml"):
        ours, theirs = ((place / "best" / name).read_text() for place in (in_order, folder))
        assert ours.replace("run whole", "run killed") == theirs


def test_a_lost_process_of_a_tuned_control_is_started_again(tmp_path: Path) -> None:
    tuner = FakeTuner(space_of(), tmp_path / "run", curve, test_score=with_noise)
    first = tuner.searcher.tunings[EXP].plan.methods[-1].runs[0].trial_id
    tuner.run(loses={first: [2]})
    rows = trials(tmp_path / "run").set_index("trial_id")
    assert rows.restarts[first] == 1
    assert rows.status[first] in ("completed", "pruned")
    assert rows.epochs_trained[first] >= 5
