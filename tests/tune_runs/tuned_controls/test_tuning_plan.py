"""The plan of tuned controls: what each tries, how many epochs that trains, and which runs share a trunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from absgd.errors import UserError
from absgd.records import control_id
from analysis.wording.titles import control_titles
from tests.support.fake_tuner import SPACE, FakeTuner, make_space, rising
from tune_runs.request.space_files import load_space, space_from_dict
from tune_runs.seed_pairs.pair_runs import plain_prefix
from tune_runs.space.model import SearchSpace
from tune_runs.space.space_sections import TunedControlName
from tune_runs.stopping.rungs import early_stopping
from tune_runs.trunks.scenario_plan import ScenarioPlan, plan_scenarios
from tune_runs.tuned_controls.tuned_methods import TUNED_METHODS, tuned_name
from tune_runs.tuned_controls.tuned_points import plain_ce, points_of, stage_ones, tuned_control_of
from tune_runs.tuned_controls.tuning_plan import TuningPlan, epochs_after_fork, tuning_plan, tuning_stopping

DECAYS = {"optimizer.weight_decay": {"choices": [2.0e-4, 1.0e-3]}}


def space_with(**changes: Any) -> SearchSpace:
    search = {**DECAYS, **SPACE["search"]}
    asked = {"scenarios": SPACE["scenarios"][:1], "search": search, "num_trials": 16, "controls": {"tuned": True}}
    return make_space(**{**asked, **changes})


def plan_of(space: SearchSpace) -> ScenarioPlan:
    return next(iter(plan_scenarios(space).values()))


def tuned(space: SearchSpace, counts: tuple[int, ...] | None = None) -> TuningPlan:
    return tuning_plan(space, plan_of(space), counts)


def test_nothing_is_tuned_unless_asked_for() -> None:
    assert tuned(space_with(controls={})) == TuningPlan()


def test_every_method_of_the_space_has_an_entry_and_a_title() -> None:
    assert set(TUNED_METHODS) == set(space_with().controls.methods)
    assert {tuned_name(name) for name in TUNED_METHODS} <= set(control_titles())
    docs = (Path(__file__).parents[3] / "docs" / "confirmation.md").read_text()
    assert all(f"| `{tuned_name(name)}` |" in docs for name in TUNED_METHODS)


def test_stage_ones_are_the_choices_that_every_method_has() -> None:
    space = space_with()
    found = stage_ones(space, plan_of(space))
    assert found[0] == plan_of(space).control
    assert sorted(one.optimizer.weight_decay for one in found) == [2.0e-4, 1.0e-3]
    assert all(one.attention is None for one in found)


def test_many_choices_are_all_tried() -> None:
    decays = [number / 10_000 for number in range(1, 11)]
    space = space_with(search={**SPACE["search"], "optimizer.weight_decay": {"choices": decays}})
    assert sorted({one.optimizer.weight_decay for one in stage_ones(space, plan_of(space))}) >= decays


def test_continuous_ranges_are_tried_at_three_values() -> None:
    space = space_with(search={**SPACE["search"], "optimizer.lr": {"low": 0.01, "high": 1.0, "log": True}})
    rates = sorted(one.optimizer.lr for one in stage_ones(space, plan_of(space)))
    assert rates == pytest.approx([0.01, 0.1, 1.0])


@pytest.mark.parametrize("name", TUNED_METHODS)
def test_first_point_has_the_usual_settings(name: TunedControlName) -> None:
    space = space_with(base={**SPACE["base"], "loss": {"focal_gamma": 3.0, "ldam_max_margin": 0.4}})
    plan = plan_of(space)
    first, *others = points_of(name, space, plan, stage_ones(space, plan))
    assert first.optimizer == plan.control.optimizer
    assert first.loss.focal_gamma == 3.0
    assert first.loss.ldam_max_margin == 0.4
    assert first not in others
    assert all(one.attention is None for one in (first, *others))
    assert {one.loss.name for one in (first, *others)} == {TUNED_METHODS[name].criterion}


def test_plan_is_the_same_each_time_and_differs_with_the_seed() -> None:
    names = [run.trial_id for run in tuned(space_with()).runs]
    assert names == [run.trial_id for run in tuned(space_with()).runs]
    assert names != [run.trial_id for run in tuned(space_with(seed=5)).runs]


def test_plain_runs_are_controls_of_the_search() -> None:
    plan = tuned(space_with())
    plain = next(method for method in plan.methods if method.name == "ce")
    own = plan_of(space_with()).control
    assert [run.phase for run in plain.runs] == ["control", "control"]
    assert plain.runs[0].trial_id == control_id("digits-exp-0.1")
    assert plain.runs[1].trial_id == control_id("digits-exp-0.1", plain.runs[1].config.stage_one_key())
    assert plain.runs[0].config == own


def test_runs_on_the_plain_criterion_fork_from_controls() -> None:
    plan = tuned(space_with())
    controls = {run.trial_id: run for run in plan.runs if run.phase == "control"}
    forks = [run for run in plan.runs if run.config.loss.posthoc_tau or run.config.class_balance.type != "none"]
    forks = [run for run in forks if run.config.loss.name == "ce"]
    assert len(forks) > 4
    for run in forks:
        assert run.trunk is not None
        trunk = controls[run.trunk]
        assert run.fork_at in trunk.save_at
        assert run.config.optimizer == trunk.config.optimizer
        assert plain_prefix(run.config) == (trunk.config, run.fork_at)
    assert set(plan.fork_epochs) == {run.fork_at for run in forks}


def test_post_hoc_adjustment_is_tried_on_every_trunk() -> None:
    runs = [run for run in tuned(space_with()).runs if run.candidate == "ce-posthoc-tuned"]
    assert {run.trunk for run in runs} == {run.trial_id for run in tuned(space_with()).runs if run.phase == "control"}
    assert {run.fork_at for run in runs} == {9}


@pytest.mark.parametrize("num_trials", [16, 64])
def test_methods_train_about_the_epochs_of_the_trials(num_trials: int) -> None:
    space = space_with(num_trials=num_trials)
    plan, stopping = plan_of(space), tuning_stopping(space)
    budget = epochs_after_fork(plan.num_trials, plan.sharing, early_stopping(space))
    assert budget > 2 * space.epochs
    for method in tuned(space).methods:
        number = len(method.runs)
        if TUNED_METHODS[method.name].criterion == "ce":
            after_fork = sum(space.epochs - plain_prefix(run.config)[1] for run in method.runs if run.phase == "tuning")
            assert after_fork <= budget
        else:
            assert stopping.expected_epochs(number, (0,)) <= budget
            is_all = number == len(points_of(method.name, space, plan, stage_ones(space, plan)))
            assert is_all or stopping.expected_epochs(number + 1, (0,)) > budget


def test_a_small_search_still_tries_two_configurations() -> None:
    assert all(len(method.runs) >= 2 for method in tuned(space_with(num_trials=1)).methods)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_every_method_of_the_cifar_spaces_tries_every_weight_decay_with_its_usual_settings(name: str) -> None:
    space = load_space(name)
    for plan in plan_scenarios(space).values():
        decays = sorted(one.optimizer.weight_decay for one in stage_ones(space, plan))
        assert len(decays) == 3
        methods = tuning_plan(space, plan).methods
        assert [method.name for method in methods] == list(TUNED_METHODS)
        for method in methods:
            first = [run.config for run in method.runs[:3]]
            assert sorted(one.optimizer.weight_decay for one in first) == decays
            assert len({one.with_values({"optimizer.weight_decay": 0.0}) for one in first}) == 1


def test_a_method_tries_its_usual_settings_on_four_plain_runs_before_it_varies_any() -> None:
    decays = [number / 10_000 for number in range(1, 11)]
    search = {**SPACE["search"], "optimizer.weight_decay": {"choices": decays}}
    (method,) = tuned(space_with(search=search, controls={"tuned": True, "methods": ["focal"]}, num_trials=64)).methods
    gammas = [run.config.loss.focal_gamma for run in method.runs]
    assert len(gammas) > 4
    assert gammas[:4] == [gammas[0]] * 4
    assert len(set(gammas)) > 1


OWN_CRITERIA = [
    ("abvs", "vs"),
    ("abfocal", "focal"),
    ("abldam", "ldam-drw"),
    ("ablogit_adjustment", "logit-adjustment"),
]


@pytest.mark.parametrize(("loss", "method"), OWN_CRITERIA)
def test_on_another_criterion_only_trunks_are_controls(loss: str, method: TunedControlName) -> None:
    space = space_with(base={**SPACE["base"], "loss": {"name": loss}}, num_trials=32)
    plan, own = tuned(space), plan_of(space)
    controls = [run for run in plan.runs if run.phase == "control"]
    plain = stage_ones(space, own)
    assert {run.config for run in controls} == {*plain, *map(plain_ce, plain)}
    assert all(run.trunk is None for run in controls)
    forked = [run for run in plan.runs if run.candidate in ("cb-ce-drw-tuned", "ce-posthoc-tuned")]
    assert forked
    assert all(run.trunk in {one.trial_id for one in controls} for run in forked)
    budget = epochs_after_fork(own.num_trials, own.sharing, early_stopping(space))
    for one in plan.methods:
        whole = plan.num_whole(one)
        assert whole <= 2 or tuning_stopping(space).expected_epochs(whole, (0,)) <= budget
    names = {run.candidate for run in controls}
    assert names <= {"ce-tuned", tuned_name(method), None}
    assert "ce-tuned" in names


def test_class_weights_from_the_first_epoch_leave_plain_training_to_a_control_of_its_own() -> None:
    balance = {"type": "reweight", "beta": 0.9999}
    space = space_with(base={**SPACE["base"], "class_balance": balance})
    plan = tuned(space)
    plain = next(method for method in plan.methods if method.name == "ce")
    assert {run.config.class_balance.type for run in plain.runs} == {"none"}
    assert {run.candidate for run in plain.runs} == {"ce-tuned"}
    trunks = {run.trial_id for run in plain.runs}
    forks = [run for run in plan.runs if run.candidate == "cb-ce-drw-tuned"]
    assert forks
    assert {run.trunk for run in forks} <= trunks
    assert tuned_control_of(plan_of(space).control, space, plan_of(space)) is None


@pytest.mark.parametrize("search", [DECAYS, {"optimizer.lr": {"low": 0.01, "high": 1.0, "log": True}}])
def test_a_search_that_is_extended_tries_further_configurations_beside_the_earlier_ones(search: dict[str, Any]) -> None:
    earlier: dict[str, list[str]] = {}
    for num_trials in (8, 16, 24, 32, 64):
        plan = tuned(space_with(search={**search, **SPACE["search"]}, num_trials=num_trials))
        found = {method.name: [run.trial_id for run in method.runs] for method in plan.methods}
        for name, runs in earlier.items():
            assert set(runs) <= set(found[name]), name
        earlier = found


def test_a_control_writes_the_snapshots_of_trials_and_tuned_controls(tmp_path: Path) -> None:
    space = space_with(num_trials=32)
    tuner = FakeTuner(space, tmp_path / "run", rising)
    plan = next(iter(tuner.searcher.tunings.values())).plan
    due = {run.save_at for run in plan.runs if run.phase == "control"}
    assert due == {tuner.search.searcher.searches[plan_of(space).name].next_control().trunk.save_at}
    assert set(plan.fork_epochs) | {3, 4, 5} <= set(*due)


def test_plain_runs_are_told_from_others() -> None:
    space = space_with(controls={"tuned": True, "methods": ["ce", "focal"]})
    own = plan_of(space)
    names = {
        "ce-tuned": {"optimizer.weight_decay": 0.5, "batch_size": 7},
        "focal-tuned": {"loss.name": "focal", "loss.focal_gamma": 9.0},
        None: {"loss.class_tau": 1.0},
    }
    for name, values in names.items():
        assert tuned_control_of(own.control.with_values(values), space, own) == name
    assert tuned_control_of(own.control, space_with(controls={}), own) is None
    assert tuned_control_of(own.control, space_with(controls={"tuned": True, "methods": ["ce-posthoc"]}), own) is None


def test_methods_that_need_every_class_are_left_out_where_one_is_empty() -> None:
    plan = tuned(space_with(), (5, 0, *[5] * 8))
    assert [method.name for method in plan.methods] == ["ce", "focal"]
    assert plan.notes[0] == "control `cb-ce-drw` is not tuned: no training image of class 1"


def test_without_early_stopping_tuned_controls_are_not_stopped() -> None:
    assert tuning_stopping(space_with(early_stopping=None)).ladder == ()
    assert [rung.at for rung in tuning_stopping(space_with()).ladder] == [5, 8]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"controls": {"tuned": True, "methods": []}}, "expected at least one control to tune, got an empty list"),
        ({"controls": {"tuned": True, "methods": ["ce", "ce"]}}, "expected each control once, got ce, ce"),
        ({"controls": {"methods": ["focal"]}}, "expected `methods` only with `tuned: true`"),
        ({"controls": {"tuned": True, "methods": ["vscp"]}}, "controls.methods"),
        (
            {
                "controls": {"tuned": True},
                "scenarios": [{"name": "a"}, {"name": "A-absgd", "imbalance": {"type": "exp", "ratio": 0.1}}],
            },
            "does not end in `-absgd`: best/A-absgd.yaml is taken",
        ),
    ],
)
def test_bad_controls_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        space_from_dict({**SPACE, **changes})
    assert message in str(error.value)
