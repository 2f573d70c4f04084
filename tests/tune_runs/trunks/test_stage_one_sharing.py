"""The parameters that decide stage one, how many stage ones there are, where trials fork, and whether sharing pays."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from optuna.study import create_study

from tests.support.spaces import make
from tune_runs.request.space_files import load_space, shipped_spaces
from tune_runs.space.distinct_points import num_values, value_at
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.parameters import Parameter
from tune_runs.space.run_configs import control_config, suggested_config
from tune_runs.trunks.stage_one_sharing import StageOneSharing, stage_one_sharing
from tune_runs.trunks.trunk_use import fork_epoch

BALANCE = {"base/class_balance": {"type": "reweight", "from_epoch": "switch"}}


def sharing(space: SearchSpace, scenario: Scenario) -> StageOneSharing:
    """Sharing in a scenario of a space."""
    return stage_one_sharing(space, scenario, control_config(space, scenario))


def of(changes: dict[str, Any] | None = None) -> StageOneSharing:
    """Sharing in the first scenario of a changed space: 4 trials of 16 epochs that switch in 8..12."""
    space = make(changes)
    return sharing(space, space.scenario_list[0])


def test_sharing_of_attention_alone_is_one_trunk() -> None:
    found = of()
    assert (found.shares, found.reason, found.deciding) == (True, None, ())
    assert (found.num_stage_ones, found.expected_trunks) == (1, 1)
    assert found.fork_epochs == found.switch_epochs == (8, 9, 10, 11, 12)
    assert (found.mean_fork_epoch, found.stage_two_share) == (10, 1)


def test_sharing_with_choices_that_decide_stage_one() -> None:
    found = of({"search/optimizer.lr": {"choices": [0.01, 0.1]}, "base/optimizer": {"lr": 0.1}, "num_trials": 8})
    assert (found.shares, found.num_stage_ones, found.deciding) == (True, 2, ("optimizer.lr",))
    assert found.expected_trunks == pytest.approx(1 + 1 - 0.5**8), "the control's is certain"


@pytest.mark.parametrize("losses", [["abce", "abldam"], ["abldam", "abce"]])
def test_sharing_over_losses_is_a_trunk_for_each_base_criterion(losses: list[str]) -> None:
    found = of({"search/loss.name": {"choices": losses}, "num_trials": 8})
    assert (found.shares, found.num_stage_ones, found.deciding) == (True, 2, ("loss.name",))


def test_sharing_counts_a_control_that_no_trial_is_like() -> None:
    changes = {"search/optimizer.lr": {"choices": [0.01, 0.1]}, "num_trials": 8}
    inside, outside = (of({**changes, "base/optimizer": {"lr": lr}}) for lr in (0.1, 0.3))
    assert outside.num_stage_ones == inside.num_stage_ones == 2
    assert outside.expected_trunks == pytest.approx(1 + 2 * (1 - 0.5**8))


@pytest.mark.parametrize("point", [{"optimizer.lr": 0.01}, {"optimizer.lr": 0.01, "lam": 5}])
def test_sharing_counts_enqueued_points(point: dict[str, Any]) -> None:
    changes = {"search/optimizer.lr": {"choices": [0.01, 0.1]}, "base/optimizer": {"lr": 0.3}, "num_trials": 8}
    assert of({**changes, "enqueue": [point]}).expected_trunks == pytest.approx(2 + 1 - 0.5**7)
    assert of({**changes, "enqueue": [{"lam": 5}]}).expected_trunks == pytest.approx(1 + 2 * (1 - 0.5**8))


def test_sharing_is_impossible_with_a_range_that_decides_stage_one() -> None:
    found = of({"search/optimizer.lr": {"low": 0.01, "high": 0.1, "log": True}})
    assert (found.shares, found.num_stage_ones, found.expected_trunks) == (False, None, 5)
    assert found.deciding == ("optimizer.lr",)
    assert found.reason == (
        "`optimizer.lr` is a range, so each trial has its own stage one; give it as `choices` to share"
    )
    assert found.fork_epochs == (8, 9, 10, 11, 12)


def test_sharing_names_every_range_in_the_way() -> None:
    ranges = {f"search/{name}": {"low": 0.1, "high": 0.2} for name in ("optimizer.lr", "model.dropout")}
    reason = of(ranges).reason
    assert reason is not None
    assert reason.startswith("`optimizer.lr` and `model.dropout` are ranges, so each trial")


@pytest.mark.parametrize(
    ("parameter", "num_stage_ones"),
    [
        ({"low": 0.1, "high": 0.3, "step": 0.1}, 3),
        ({"low": 0.1, "high": 0.3}, None),
    ],
)
def test_sharing_of_stepped_ranges_is_finite(parameter: dict[str, Any], num_stage_ones: int | None) -> None:
    assert of({"search/model.dropout": parameter}).num_stage_ones == num_stage_ones


@pytest.mark.parametrize(
    ("changes", "deciding"),
    [
        ({**BALANCE, "search/class_balance.beta": {"low": 0.9, "high": 0.999}}, ()),
        ({"base/class_balance": {"type": "reweight"}, "search/class_balance.beta": {"choices": [0.9, 0.99]}}, None),
        ({"search/add_uniform": {"choices": [True, False]}}, ()),
        ({"search/batch_size": {"choices": [16, 32]}}, ("batch_size",)),
        ({"search/lam": {"low": 0.5, "high": 50, "sign": [1, -1]}}, ()),
    ],
)
def test_sharing_compares_runs_for_deciding_settings(changes: dict[str, Any], deciding: tuple[str, ...] | None) -> None:
    found = of(changes)
    assert found.deciding == (("class_balance.beta",) if deciding is None else deciding)
    assert found.num_stage_ones is not None


def test_sharing_finds_parameters_that_decide_in_some_trials_only() -> None:
    changes: dict[str, Any] = {
        "base/class_balance": {"type": "reweight"},
        "search/class_balance.from_epoch": {"choices": ["switch", 0]},
        "search/class_balance.beta": {"choices": [0.9, 0.99, 0.999]},
        "base/class_balance/from_epoch": 0,
        "num_trials": 12,
    }
    found = of(changes)
    assert found.deciding == ("class_balance.from_epoch", "class_balance.beta")
    assert found.num_stage_ones == 4, "one with balance from the switch, three with it from the start"
    assert found.expected_trunks == pytest.approx(4, abs=0.7)


def test_sharing_of_losses_over_one_base_criterion_is_one_trunk() -> None:
    attention = {name: {"when": {"loss.name": "abce"}} for name in ("lam", "gamma", "ab_alpha", "switch_epoch")}
    space = make()
    for name, condition in attention.items():
        attention[name] = {**space.search[name].model_dump(exclude_none=True), **condition}
    changes: dict[str, Any] = {"search": {"loss.name": {"choices": ["ce", "abce"]}, **attention}}
    found = of(changes)
    assert (found.shares, found.num_stage_ones, found.deciding) == (True, 1, ())
    assert found.fork_epochs == (8, 9, 10, 11, 12, 15), "a trial of ce is the control over again"
    assert (found.switch_epochs, found.stage_two_share) == ((8, 9, 10, 11, 12), 0.5)
    assert found.mean_fork_epoch == (10 + 15) / 2


def test_sharing_weighs_stage_ones_of_conditions() -> None:
    changes = {
        "search/loss.name": {"choices": ["abce", "abfocal"]},
        "search/loss.focal_gamma": {"choices": [1.0, 2.0], "when": {"loss.name": "abfocal"}},
        "num_trials": 6,
    }
    found = of(changes)
    assert (found.num_stage_ones, found.deciding) == (3, ("loss.name", "loss.focal_gamma"))
    assert found.expected_trunks == pytest.approx(1 + 2 * (1 - 0.75**6))


@pytest.mark.parametrize(
    ("changes", "fork_epochs"),
    [
        ({"search/switch_epoch": {"choices": [12, 4, 8]}}, (4, 8, 12)),
        ({"search/switch_epoch": {"low": 4, "high": 12, "step": 4}}, (4, 8, 12)),
        ({"search/switch_epoch": {"low": 0, "high": 2}}, (1, 2)),
        (
            {
                "search": {"lam": {"low": 1, "high": 2}},
                "base/attention": {"gamma": 1.0, "ab_alpha": 1.0, "switch_epoch": 9},
            },
            (9,),
        ),
        ({"base/loss": {"name": "ce"}, "search": {"optimizer.lr": {"choices": [0.1, 0.2]}}}, (15,)),
    ],
)
def test_sharing_forks_at_every_epoch_a_trial_may_switch(changes: dict[str, Any], fork_epochs: tuple[int, ...]) -> None:
    found = of(changes)
    assert found.fork_epochs == fork_epochs
    assert found.shares


def test_sharing_of_a_switch_under_a_condition() -> None:
    changes = {
        "base/attention": {"switch_epoch": 5},
        "search/add_uniform": {"choices": [True, False]},
        "search/switch_epoch": {"low": 8, "high": 12, "when": {"add_uniform": True}},
    }
    space = make()
    search = {name: parameter.model_dump(exclude_none=True) for name, parameter in space.search.items()}
    search = {name: value for name, value in search.items() if name != "switch_epoch"}
    search |= {"add_uniform": changes["search/add_uniform"], "switch_epoch": changes["search/switch_epoch"]}
    found = of({"base/attention": changes["base/attention"], "search": search})
    assert found.fork_epochs == (5, 8, 9, 10, 11, 12)
    assert found.mean_fork_epoch == (5 + 10) / 2


def test_sharing_without_stage_one_has_nothing_to_share() -> None:
    found = of({"search/switch_epoch": {"choices": [0]}})
    assert (found.shares, found.fork_epochs) == (False, ())
    assert found.reason == "every trial switches before its first epoch, so there is no stage one to share"


def test_sharing_does_not_pay_with_a_stage_one_for_nearly_every_trial() -> None:
    found = of({"search/batch_size": {"low": 16, "high": 512}, "early_stopping": None})
    assert (found.shares, found.num_stage_ones) == (False, 497)
    assert found.expected_trunks == pytest.approx(1 + 497 * (1 - (1 - 1 / 497) ** 4), rel=0.01)
    assert found.reason == "about 5 different stage ones are expected in 4 trials: training each to the end costs more"


@pytest.mark.parametrize(("num_trials", "shares"), [(12, False), (40, True)])
def test_sharing_pays_when_it_costs_fewer_epochs(num_trials: int, shares: bool) -> None:
    found = of({"search/batch_size": {"low": 16, "high": 31}, "num_trials": num_trials})
    cost = found.expected_trunks * 16 + num_trials * (16 - found.mean_fork_epoch)
    assert found.shares is shares
    assert shares is (cost < (num_trials + 1) * 16)


def test_sharing_of_more_combinations_than_can_be_listed() -> None:
    found = of({"search/batch_size": {"low": 1, "high": 2**31 - 1}})
    assert (found.shares, found.num_stage_ones) == (False, 2**31 - 1)
    assert found.expected_trunks == pytest.approx(5)


def test_sharing_leaves_out_snapshots_where_switch_epochs_are_many() -> None:
    found = of({"base/epochs": 10**9, "search/switch_epoch": {"low": 8, "high": 10**9 - 2}})
    assert found.fork_epochs[0] == 8
    assert 500 < len(found.fork_epochs) <= 1001


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_sharing_covers_every_trial_drawn(seed: int) -> None:
    space = make(
        {
            "search/loss.name": {"choices": ["abce", "abfocal"]},
            "search/loss.focal_gamma": {"choices": [1.0, 2.0], "when": {"loss.name": "abfocal"}},
            "search/model.dropout": {"low": 0.1, "high": 0.5, "step": 0.2},
        }
    )
    found = sharing(space, space.scenario_list[0])
    study = create_study(sampler=RandomSampler(seed=seed))
    drawn = [suggested_config(space, space.scenario_list[0], study.ask()) for _ in range(60)]
    assert found.num_stage_ones is not None
    assert len({config.stage_one_key() for config in drawn}) <= found.num_stage_ones
    assert {fork_epoch(config) for config in drawn} <= set(found.fork_epochs)


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        (Parameter(choices=("a", None)), ["a", None]),
        (Parameter(type="int", low=2, high=4), [2, 3, 4]),
        (Parameter(type="int", low=2, high=8, step=3), [2, 5, 8]),
        (Parameter(type="int", low=1, high=8, log=True), list(range(1, 9))),
        (Parameter(type="float", low=0.5, high=1.0, step=0.25), [0.5, 0.75, 1.0]),
        (Parameter(type="float", low=1, high=2, step=1, sign=(1, -1)), [1.0, -1.0, 2.0, -2.0]),
        (Parameter(type="float", low=0.1, high=0.3, step=0.1, sign=(-1,)), [-0.1, -0.2, -0.3]),
        (Parameter(type="float", low=0, high=1, step=0.3333333333334), [0.0, 0.3333333333334, 0.6666666666668]),
        (Parameter(type="float", low=1, high=2), None),
        (Parameter(type="float", low=1, high=2, log=True), None),
    ],
)
def test_num_values_and_value_at(parameter: Parameter, values: list[Any] | None) -> None:
    count = num_values(parameter)
    assert count == (None if values is None else len(values))
    if values is not None:
        found = [value_at(parameter, index) for index in range(len(values))]
        assert found == values
        assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize("name", sorted(shipped_spaces()))
def test_shipped_spaces_share_stage_one(name: str) -> None:
    space = load_space(name)
    trunks = {"quickstart": 1, "noisy_cifar10": 8, "noisy_cifar100": 2}.get(name, 3)
    for scenario in space.scenario_list:
        found = sharing(space, scenario)
        assert found.shares
        assert found.num_stage_ones == trunks


def test_sharing_imports_neither_torch_nor_ray_nor_optuna() -> None:
    loaded = "[m for m in ('torch', 'ray', 'optuna') if m in sys.modules]"
    code = f"import sys, tune_runs.trunks.stage_one_sharing; print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
