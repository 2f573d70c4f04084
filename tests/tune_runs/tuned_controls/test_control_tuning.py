"""Searches with tuned controls on curves: what is trained, stopped, confirmed and taken home, also after a kill."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from absgd.config import RunConfig
from analysis import load
from analysis.questions.tuned_controls import tuned_candidates
from tests.support.fake_searches import EXP, assert_same, trials
from tests.support.fake_tuner import SPACE, FakeTuner
from tests.support.kills import Killed, killed_at
from tests.support.tuned_searches import curve, run, space_of, with_noise


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> FakeTuner:
    return run(tmp_path_factory.mktemp("tuned") / "run", num_trials=16)


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


SEVERAL = {"optimizer.weight_decay": {"choices": [1.0e-4, 2.0e-4, 1.0e-3, 5.0e-3]}, **SPACE["search"]}


@pytest.mark.parametrize("concurrent", [1, 2, 5])
def test_no_images_stay_where_controls_begin_after_further_pairs(tmp_path: Path, concurrent: int) -> None:
    rates = {"optimizer.lr": {"low": 0.01, "high": 1.0, "log": True}, **SPACE["search"]}
    for name, search in (("shared", SEVERAL), ("from scratch", rates)):
        space = space_of(seeds={"pairs": 3}, search=search)
        tuner = FakeTuner(space, tmp_path / name, curve, concurrent=concurrent, test_score=with_noise)
        tuner.run()
        assert tuner.searcher.is_done
        assert not tuner.store.keys


def test_every_plain_control_of_the_search_is_tried(tmp_path: Path) -> None:
    tuner = run(tmp_path / "run", search=SEVERAL)
    controls = trials(tmp_path / "run").query("phase == 'control' and pair == 0")
    assert set(controls.candidate) == {"ce-tuned"}
    best = controls.sort_values("metric_last").iloc[-1]
    (tuned,) = (one for one in tuner.searcher.tunings[EXP].best().controls if one.name == "ce-tuned")
    assert tuned.config.optimizer.weight_decay == best.weight_decay


def test_plain_runs_that_differ_in_what_only_trials_have_are_no_tuned_controls(tmp_path: Path) -> None:
    space = space_of(search={"loss.class_tau": {"choices": [0.0, 1.0]}, **SPACE["search"]})

    def better_with_tau(config: RunConfig, epoch: int) -> float:
        return curve(config, epoch) + config.loss.class_tau

    tuner = FakeTuner(space, tmp_path / "run", better_with_tau, test_score=with_noise)
    tuner.run()
    controls = trials(tmp_path / "run").query("phase == 'control'")
    assert set(controls.class_tau) == {0.0, 1.0}
    assert set(controls[controls.candidate == "ce-tuned"].class_tau) == {0.0}
    row = load(tmp_path / "run").tuned_controls().set_index("control").loc["ce-tuned"]
    (tuned,) = (one for one in tuner.searcher.tunings[EXP].best().controls if one.name == "ce-tuned")
    assert controls.set_index("trial_id").class_tau[row.trial_id] == tuned.config.loss.class_tau == 0.0


@pytest.mark.parametrize(
    ("methods", "expected"), [(["focal"], {"focal-tuned"}), (["ce"], {"ce"}), (["ce", "focal"], {"ce", "focal-tuned"})]
)
def test_tuned_names_are_those_of_methods_that_were_tuned(
    methods: list[str], expected: set[str], tmp_path: Path
) -> None:
    controls = {"tuned": True, "methods": methods}
    tuner = run(tmp_path / "run", controls=controls, confirm={"max_pairs": 4, "controls": ["ce"]})
    found = tuner.confirmations[EXP].candidates.members
    assert {one.name for one in found if one.is_tuned} == expected
    runs = load(tmp_path / "run")
    assert set(tuned_candidates(runs, runs.tuned_controls())) == expected


def test_a_method_without_a_completed_run_is_named(tmp_path: Path) -> None:
    def focal_diverges(config: RunConfig, epoch: int) -> float | None:
        return None if config.loss.name == "focal" and epoch > 2 else curve(config, epoch)

    tuner = FakeTuner(space_of(), tmp_path / "run", focal_diverges, test_score=with_noise)
    tuner.run()
    notes = tuner.confirmations[EXP].candidates.notes
    assert "control `focal-tuned` is left out: no run of its search was completed" in notes
    runs = load(tmp_path / "run")
    assert "focal-tuned" not in tuned_candidates(runs, runs.tuned_controls())


def test_a_confirmation_of_an_interrupted_search_says_which_runs_of_controls_are_missing(tmp_path: Path) -> None:
    first = FakeTuner(space_of(), tmp_path / "run", curve, test_score=with_noise)
    first.run(stop_after_results=110)
    first.end_early()
    confirmed = FakeTuner(space_of(), tmp_path / "run", curve, test_score=with_noise, searches=False)
    confirmed.run()
    left = "the search over the settings of controls has not ended: "
    assert any(note.startswith(left) for note in confirmed.confirmations[EXP].candidates.notes)
    whole = FakeTuner(space_of(), tmp_path / "run", curve, test_score=with_noise)
    whole.run()
    assert not any(note.startswith(left) for note in whole.confirmations[EXP].candidates.notes)


def test_a_search_for_two_metrics_chooses_controls_by_both(tmp_path: Path) -> None:
    space = space_of(metric=["val_accuracy", "val_worst_recall"], controls={"tuned": True, "methods": ["ce"]})

    def better_without_decay(config: RunConfig, epoch: int) -> float:
        return 0.9 if config.optimizer.weight_decay == 2.0e-4 else 0.1

    tuner = FakeTuner(space, tmp_path / "run", curve, second=better_without_decay, test_score=with_noise)
    tuner.run()
    (tuned,) = tuner.searcher.tunings[EXP].best().controls
    controls = trials(tmp_path / "run").query("phase == 'control'").set_index("weight_decay")
    assert controls.metric_last[1.0e-3] > controls.metric_last[2.0e-4]
    assert tuned.config.optimizer.weight_decay == 2.0e-4


@pytest.mark.parametrize("loss", ["abvs", "abldam", "abfocal"])
def test_a_search_on_another_criterion_ends_with_forks_from_plain_training(loss: str, tmp_path: Path) -> None:
    tuner = run(tmp_path / "run", base={**SPACE["base"], "loss": {"name": loss}}, controls={"tuned": True})
    assert tuner.searcher.is_done
    rows = trials(tmp_path / "run")
    forks = rows.query("phase == 'tuning' and candidate in ('ce-posthoc-tuned', 'cb-ce-drw-tuned')")
    assert (forks.epochs_inherited > 0).all()
    assert set(rows.query("phase == 'control'").epochs_trained) == {10}
    stopped = rows[rows.status == "pruned"]
    assert set(stopped.phase) <= {"search", "tuning"}
    assert set(stopped[stopped.phase == "tuning"].epochs_inherited) <= {0}
