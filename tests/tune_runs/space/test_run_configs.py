"""The values that Optuna draws for a space, and the configs that follow."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest

from absgd.config import RunConfig
from absgd.config.sections import DeviceConfig
from absgd.datasets import load_splits
from tests.support.spaces import make
from tune_runs.image_checks import _check_runs
from tune_runs.space.model import SearchSpace
from tune_runs.space.run_configs import (
    control_config,
    enqueued_points,
    optuna_params,
    parameter_values_of,
    suggested_config,
)

LOSSES: dict[str, Any] = {
    "base/attention": {"gamma": 0.5, "ab_alpha": 0.5},
    "search": {
        "loss.name": {"choices": ["ce", "abce"]},
        "lam": {"low": 0.5, "high": 50, "log": True, "when": {"loss.name": "abce"}},
        "switch_epoch": {"low": 8, "high": 12, "when": {"loss.name": ["abce"]}},
        "optimizer.lr": {"low": 0.01, "high": 0.1, "log": True, "when": {"imbalance.type": "exp"}},
    },
    "scenarios": [{}, {"imbalance": {"type": "exp", "ratio": 0.05}}],
}


def draws(space: SearchSpace, count: int = 40, scenario: int = 0) -> list[tuple[dict[str, Any], RunConfig]]:
    """Return Optuna's parameters and the config of each of `count` random trials."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = []
    for _ in range(count):
        trial = study.ask()
        config = suggested_config(space, space.scenario_list[scenario], trial)
        drawn.append((trial.params, config))
    return drawn


def lams(parameter: dict[str, Any]) -> list[float]:
    attentions = (config.attention for _, config in draws(make({"search/lam": parameter})))
    return [attention.lam for attention in attentions if attention is not None]


def test_suggest_gives_a_complete_config_inside_the_space() -> None:
    for _, config in draws(make({"resources": {"cpu": 2.5}})):
        assert config.attention is not None
        assert 0.5 <= config.attention.lam <= 50
        assert 8 <= config.attention.switch_epoch <= 12
        assert (config.device.type, config.device.threads) == ("auto", 2)
        assert RunConfig.from_dict(config.to_dict()) == config


def test_suggest_reaches_both_ends_of_whole_numbers() -> None:
    switches = {config.attention.switch_epoch for _, config in draws(make()) if config.attention}
    assert switches == {8, 9, 10, 11, 12}


@pytest.mark.parametrize(
    ("cpu", "gpu", "device", "threads"),
    [(0.5, 0, "cpu", 1), (1, None, "auto", 1), (4, 0.25, "cuda", 4), (1, 1, "cuda", 1)],
)
def test_suggest_sets_the_device_of_the_resources(cpu: float, gpu: float | None, device: str, threads: int) -> None:
    space = make({"resources": {"cpu": cpu, "gpu": gpu}})
    (_, config), control = draws(space, 1)[0], control_config(space, space.scenario_list[0])
    assert (config.device.type, config.device.threads) == (device, threads)
    assert config.device == control.device


def test_lam_of_negative_log_range_is_even_in_the_log_of_its_magnitude() -> None:
    values = lams({"low": -50, "high": -0.5, "log": True})
    assert all(-50 <= lam <= -0.5 for lam in values)
    assert 10 <= sum(lam > -5 for lam in values) <= 30  # -5 is the middle of the logarithms


def test_lam_of_negative_linear_range() -> None:
    assert all(-50 <= lam <= -0.5 for lam in lams({"low": -50, "high": -0.5}))


def test_lam_of_negative_integers() -> None:
    assert {-5, -4, -3, -2, -1} == set(lams({"type": "int", "low": -5, "high": -1, "log": True}))


def test_lam_sign_is_drawn_apart_from_the_magnitude() -> None:
    space = make({"search/lam": {"low": 0.5, "high": 50, "log": True, "sign": [1, -1]}})
    values = draws(space)
    assert {math.copysign(1, config.attention.lam) for _, config in values if config.attention} == {1, -1}
    for params, config in values:
        assert config.attention is not None
        assert config.attention.lam == params["lam_sign"] * params["lam_magnitude"]


def test_step_keeps_to_its_grid() -> None:
    space = make({"search/gamma": {"low": 0.1, "high": 0.9, "step": 0.2}})
    assert {round(params["gamma"], 6) for params, _ in draws(space)} == {0.1, 0.3, 0.5, 0.7, 0.9}


def test_when_decides_which_parameters_are_drawn() -> None:
    space = make(LOSSES)
    for params, config in draws(space):
        assert (config.attention is None) == (config.loss.name == "ce")
        assert set(params) == ({"loss.name"} if config.loss.name == "ce" else {"loss.name", "lam", "switch_epoch"})
    assert all("optimizer.lr" in params for params, _ in draws(space, scenario=1))


def test_when_on_a_parameter_that_is_not_drawn_does_not_hold() -> None:
    space = make(
        {
            "search/batch_size": {"choices": [16, 32]},
            "search/model.dropout": {"choices": [0.0, 0.1], "when": {"batch_size": 16}},
            "search/optimizer.lr": {"low": 0.1, "high": 0.2, "when": {"model.dropout": 0.0}},
        }
    )
    for params, _ in draws(space):
        assert ("model.dropout" in params) == (params["batch_size"] == 16)
        assert ("optimizer.lr" in params) == (params.get("model.dropout") == 0.0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        LOSSES,
        {"search/lam": {"low": -50, "high": -0.5, "log": True}},
        {"search/lam": {"low": 0.5, "high": 50, "log": True, "sign": [1, -1]}},
    ],
)
def test_suggested_and_optuna_params_are_suggest_in_reverse(changes: dict[str, Any]) -> None:
    space = make(changes)
    for params, config in draws(space):
        values = parameter_values_of(space, space.scenario_list[0], config)
        assert optuna_params(space, values) == params


ON = {"loss.name": ["absce", "abtce"]}
NOISY: dict[str, Any] = {
    "base/attention": {"gamma": 0.5, "ab_alpha": 0.5},
    "search": {
        "loss.name": {"choices": ["sce", "absce", "abtce"]},
        "loss.sce_alpha": {"low": 0.1, "high": 6, "log": True, "when": {"loss.name": ["sce", "absce"]}},
        "loss.tce_prune_from": {"choices": [None, 10], "when": {"loss.name": "abtce"}},
        "loss.class_tau": {"choices": [0, 1]},
        "optimizer.grad_clip": {"choices": [None, 5]},
        "lam": {"low": 0.5, "high": 50, "log": True, "sign": [-1], "when": ON},
        "switch_epoch": {"low": 8, "high": 12, "when": ON},
        "add_uniform": {"choices": [True, False], "when": ON},
    },
    "enqueue": [{"loss.name": "absce", "loss.sce_alpha": 0.1, "lam": -5, "add_uniform": True}],
}


def test_settings_of_a_loss_are_drawn_with_it() -> None:
    space = make(NOISY)
    for params, config in draws(space):
        loss, attention = config.loss, config.attention
        assert ("loss.sce_alpha" in params) == (loss.base == "sce")
        assert ("loss.tce_prune_from" in params) == (loss.name == "abtce")
        assert loss.sce_alpha == params.get("loss.sce_alpha", 0.1)
        assert loss.tce_prune_from == params.get("loss.tce_prune_from")
        assert (loss.class_tau, config.optimizer.grad_clip) == (params["loss.class_tau"], params["optimizer.grad_clip"])
        assert (attention is None) == (loss.name == "sce")
        if attention is not None:
            assert -50 <= attention.lam <= -0.5
            assert attention.add_uniform == params["add_uniform"]
        values = parameter_values_of(space, space.scenario_list[0], config)
        assert optuna_params(space, values) == params


def test_control_of_a_negative_lam_is_the_base_criterion() -> None:
    space = make(NOISY)
    control = control_config(space, space.scenario_list[0])
    assert (control.loss.name, control.loss.sce_alpha, control.attention) == ("sce", 0.1, None)


@pytest.mark.parametrize("named", [{}, {"model.head": {"choices": ["cosine"], "when": {"loss.name": "abldam"}}}])
def test_head_follows_the_loss(named: dict[str, Any]) -> None:
    search = make().to_dict()["search"]
    space = make({"search": {"loss.name": {"choices": ["abce", "abldam"]}, **named, **search}})
    heads = {(config.loss.name, config.head) for _, config in draws(space)}
    assert heads == {("abce", "linear"), ("abldam", "cosine")}
    assert control_config(space, space.scenario_list[0]).head == "linear"


@pytest.mark.parametrize("sign", [{}, {"sign": [1, -1]}])
def test_enqueued_points_are_drawn_first(sign: dict[str, Any]) -> None:
    space = make(
        {
            "search/lam": {"low": 0.5, "high": 50, "log": True, **sign},
            "enqueue": [{"lam": 5, "gamma": 1, "ab_alpha": 0.5, "switch_epoch": 12}, {"lam": -5 if sign else 0.5}],
        }
    )
    study = optuna.create_study()
    for point in enqueued_points(space).inside:
        study.enqueue_trial(optuna_params(space, point))
    first, second = (suggested_config(space, space.scenario_list[0], study.ask()).attention for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.lam, first.gamma, first.ab_alpha, first.switch_epoch) == (5.0, 1.0, 0.5, 12)
    assert second.lam == (-5.0 if sign else 0.5)


def test_points_outside_are_left_out_with_a_note() -> None:
    points = enqueued_points(
        make(
            {
                "search/gamma": {"low": 0.1, "high": 0.9, "step": 0.2},
                "search/lam": {"low": 0.5, "high": 50, "log": True, "sign": [-1]},
                "enqueue": [
                    {"switch_epoch": 160},
                    {"lam": -5},
                    {"lam": -5.0},
                    {"lam": 5},
                    {"gamma": 0.2},
                    {"lam": -0.4},
                ],
            }
        )
    )
    assert points.inside == ({"lam": -5.0},)
    assert points.notes == (
        "enqueue.0 is skipped: `switch_epoch` 160 lies outside 8 to 12, whole",
        "enqueue.2 is skipped: the same point is given before",
        "enqueue.3 is skipped: `lam` 5 lies outside 0.5 to 50, log, sign -",
        "enqueue.4 is skipped: `gamma` 0.2 lies outside 0.1 to 0.9, step 0.2",
        "enqueue.5 is skipped: `lam` -0.4 lies outside 0.5 to 50, log, sign -",
    )


def test_control_is_plain_training_with_the_settings_of_base() -> None:
    space = make(
        {
            "base/optimizer": {"lr": 0.3},
            "base/class_balance": {"type": "reweight", "from_epoch": "switch"},
            "search/optimizer.lr": {"low": 0.01, "high": 0.1},
            "scenarios": [{"imbalance": {"type": "exp", "ratio": 0.05}}],
        }
    )
    control = control_config(space, space.scenario_list[0])
    assert (control.loss.name, control.attention, control.class_balance.type) == ("ce", None, "none")
    assert (control.optimizer.lr, control.imbalance.ratio) == (0.3, 0.05)
    assert control == control.stage_one()


@pytest.mark.parametrize(
    ("enqueue", "lr", "batch_size"), [([], 0.01, 64), ([{"optimizer.lr": 7}, {"optimizer.lr": 0.05}], 0.05, 64)]
)
def test_control_takes_required_settings_without_a_base_value_from_the_first_point(
    enqueue: list[dict[str, Any]], lr: float, batch_size: int
) -> None:
    space = make(
        {
            "search/optimizer.lr": {"low": 0.01, "high": 0.1},
            "search/batch_size": {"choices": [64, 32]},
            "enqueue": enqueue,
        }
    )
    control = control_config(space, space.scenario_list[0])
    assert (control.optimizer.lr, control.batch_size) == (lr, batch_size)


def test_trials_that_agree_on_stage_one_share_its_key() -> None:
    space = make()
    keys = {config.stage_one_key() for _, config in draws(space)}
    assert keys == {control_config(space, space.scenario_list[0]).stage_one_key()}


def test_options_of_the_device_in_base_reach_trials_and_the_control() -> None:
    space = make({"base/device": {"fast": True, "precision": "float32"}, "resources": {"cpu": 2, "gpu": 0}})
    trials = [config for _, config in draws(space, 2)]
    exact = make({"resources": {"cpu": 2, "gpu": 0}})
    for config in (*trials, control_config(space, space.scenario_list[0])):
        assert config.device == DeviceConfig(type="cpu", threads=2, fast=True, precision="float32")
    control = control_config(exact, exact.scenario_list[0])
    assert trials[0].stage_one_key() != control.stage_one_key(), "snapshots of fast and exact runs must not mix"


def test_driver_without_gpu_checks_runs_that_ask_for_a_graph() -> None:
    space = make({"base/device": {"cuda_graph": True}})
    (scenario,) = space.scenario_list
    splits = load_splits(control_config(space, scenario).with_values({"device.cuda_graph": False}))
    _check_runs(space, scenario, splits)
