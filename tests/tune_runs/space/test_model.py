"""A space as data: defaults, names of scenarios, trials that fit at once, and refused fields."""

from __future__ import annotations

from typing import Any

import pytest

from absgd.records import DEFAULT_METRIC
from tests.support.spaces import make, refusal
from tune_runs.space.model import ResourcesConfig
from tune_runs.space.space_sections import EarlyStoppingConfig


def test_space_defaults() -> None:
    space = make()
    assert (space.metric, space.seed, space.time_budget, space.enqueue) == (DEFAULT_METRIC, 0, None, ())
    assert (space.resources.cpu, space.resources.gpu, space.resources.threads) == (1, None, 1)
    assert space.early_stopping == EarlyStoppingConfig()
    assert [scenario.name for scenario in space.scenario_list] == ["digits"]
    assert {name: parameter.kind for name, parameter in space.search.items()} == {
        "lam": "float",
        "gamma": "float",
        "ab_alpha": "float",
        "switch_epoch": "int",
    }


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "digits"),
        ({"imbalance": {"type": "exp", "ratio": 0.05}}, "digits-exp-0.05"),
        ({"noise": {"type": "symmetric", "rate": 0.4}}, "digits-symmetric-0.4"),
        (
            {
                "data": {"name": "cifar10"},
                "imbalance": {"type": "step", "ratio": 0.01},
                "noise": {"type": "symmetric", "rate": 0.4},
            },
            "cifar10-step-0.01-symmetric-0.4",
        ),
        ({"name": "tail", "imbalance": {"type": "exp", "ratio": 0.05}}, "tail"),
    ],
)
def test_scenario_name(settings: dict[str, Any], name: str) -> None:
    assert [scenario.name for scenario in make({"scenarios": [settings]}).scenario_list] == [name]


@pytest.mark.parametrize(
    ("cpu", "gpu", "num_cpus", "num_gpus", "concurrent"),
    [
        (1, 0, 2, 0, 2),
        (0.5, 0, 2, 0, 4),
        (0.1, 0, 0.3, 0, 3),
        (2, 0, 3, 0, 1),
        (4, 0, 2, 0, 0),
        (1, 0.25, 16, 2, 8),
        (1, 0.3, 16, 2, 6),  # three on each GPU: no trial is spread over two
        (1, 0.1, 16, 1, 10),
        (1, 1, 16, 2, 2),
        (1, 2, 16, 3, 1),
        (1, 0.25, 16, 0, 0),
        (8, 0.25, 16, 2, 2),
    ],
)
def test_concurrent_trials(cpu: float, gpu: float, num_cpus: float, num_gpus: float, concurrent: int) -> None:
    assert ResourcesConfig(cpu=cpu, gpu=gpu).concurrent(num_cpus, num_gpus) == concurrent


@pytest.mark.parametrize(
    ("changes", "message", "key"),
    [
        ({"num_trials": 0}, "expected `num_trials` >= 1, got 0", "num_trials"),
        ({"numtrials": 1}, "unknown key `numtrials`; did you mean `num_trials`?", "numtrials"),
        ({"seed": -1}, "expected `seed` >= 0, got -1", "seed"),
        ({"resources": {"cpu": 0}}, "expected `resources.cpu` >= 0.0001, got 0", "resources.cpu"),
        ({"resources": {"gpu": -1}}, "expected `resources.gpu` >= 0.0, got -1", "resources.gpu"),
        (
            {"early_stopping": {"reduction_factor": 1}},
            "expected `early_stopping.reduction_factor` >= 2, got 1",
            "early_stopping.reduction_factor",
        ),
        (
            {"early_stopping": {"rule": "ages"}},
            "expected `early_stopping.rule` to be `asha`, `age`, `advantage`, `mean_advantage`, `age_then_epoch` or "
            "`median`, got 'ages'; did you mean `age`?",
            "early_stopping.rule",
        ),
    ],
)
def test_space_refuses(changes: dict[str, Any], message: str, key: str) -> None:
    assert refusal(changes) == f"{message} (x.yaml: {key})"


def test_space_that_still_sets_asha_is_refused_with_the_replacement() -> None:
    message = "unknown key `asha`; it is now `early_stopping`, with the same rungs under `rule: asha` (x.yaml: asha)"
    assert refusal({"asha": {"reduction_factor": 3}}) == message
