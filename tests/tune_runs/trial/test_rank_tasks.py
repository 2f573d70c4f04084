"""Trials of several processes: the resources that a space may give, and those that they occupy."""

from __future__ import annotations

from typing import Any

import pytest

from absgd.errors import UserError
from tests.support.spaces import make, preview_of, refusal
from tune_runs.preview.preview_drawing import draw_preview
from tune_runs.ray_cluster.session import NodeSize
from tune_runs.run_search import _num_concurrent
from tune_runs.space.resources import ResourcesConfig
from tune_runs.space.run_configs import control_config
from tune_runs.trial.failures import cause_of

TWO_ON_CPU = {"cpu": 1, "gpu": 0, "ranks_per_trial": 2}


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"gpus_per_trial": 2, "gpu": 0.5}, "expected no `gpu` beside `gpus_per_trial`: each process has one GPU"),
        ({"gpus_per_trial": 2, "gpu": 0}, "each process has one GPU, got 0 (x.yaml: resources.gpu)"),
        ({"gpus_per_trial": 2, "ranks_per_trial": 2}, "expected no `ranks_per_trial` beside `gpus_per_trial`, got 2"),
        ({"ranks_per_trial": 2}, "got nothing; on GPUs it is `gpus_per_trial`"),
        ({"ranks_per_trial": 2, "gpu": 0.5}, "expected `gpu` 0 with `ranks_per_trial`, got 0.5"),
        ({"gpus_per_trial": 1.5}, "expected `resources.gpus_per_trial` to be a whole number, got 1.5"),
        ({"gpus_per_trial": 0}, "expected `resources.gpus_per_trial` >= 1, got 0"),
        ({"gpu": 2}, "expected `gpu` <= 1, and `gpus_per_trial` for more, got 2"),
        ({"gpus_per_trial": 200}, "expected `ranks` <= `batch_size` (128), got 200 (x.yaml: resources)"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(resources: dict[str, Any], words: str) -> None:
    assert words in refusal({"resources": resources})


def test_base_leaves_ranks_to_resources() -> None:
    assert "expected `device.ranks` to be left to `resources`, got 2" in refusal({"base/device": {"ranks": 2}})


def test_runs_state_their_ranks_and_device() -> None:
    space = make({"resources": {"cpu": 4, "gpus_per_trial": 2}})
    device = control_config(space, space.scenario_list[0]).device
    assert (device.type, device.threads, device.ranks) == ("cuda", 4, 2)
    assert space.on(8).resources.gpu == 1


def test_runs_with_different_numbers_of_ranks_are_different_runs() -> None:
    one, two = (control_config(space, space.scenario_list[0]) for space in (
        make({"resources": {"cpu": 1, "gpu": 0}}), make({"resources": TWO_ON_CPU})
    ))  # fmt: skip
    assert one.stage_one_key() != two.stage_one_key()


@pytest.mark.parametrize(
    ("resources", "node", "trials"),
    [
        (ResourcesConfig(cpu=2, gpus_per_trial=2), (16, 8), 4),
        (ResourcesConfig(cpu=3, gpus_per_trial=2), (16, 8), 2),
        (ResourcesConfig(cpu=1, gpus_per_trial=4), (16, 3), 0),
        (ResourcesConfig(cpu=1, gpu=0, ranks_per_trial=3), (8, 0), 2),
        (ResourcesConfig(cpu=0.5, gpu=0.5), (16, 2), 4),
    ],
)
def test_trials_count_all_of_their_ranks(resources: ResourcesConfig, node: tuple[float, float], trials: int) -> None:
    assert resources.concurrent(*node) == trials


@pytest.mark.parametrize(
    ("resources", "nodes", "words"),
    [
        ({"cpu": 8, "gpus_per_trial": 4}, [(32, 2)], "such as cpu 8, gpus_per_trial 2, got cpu 8, gpus_per_trial 4"),
        ({"cpu": 8, "gpus_per_trial": 4}, [(16, 4)], "such as cpu 4, gpus_per_trial 4, got"),
        ({"cpu": 8, "gpus_per_trial": 4}, [(16, 2), (64, 3)], "such as cpu 8, gpus_per_trial 3, got"),
        ({"gpus_per_trial": 2}, [(16, 0)], "such as cpu 1, gpu 0, got cpu 1, gpus_per_trial 2"),
        ({**TWO_ON_CPU, "cpu": 4}, [(4, 0)], "such as cpu 2, gpu 0, ranks_per_trial 2, got cpu 4"),
        ({"gpu": 1, "cpu": 64}, [(8, 1)], "such as cpu 8, gpu 1, got cpu 64, gpu 1"),
    ],
)  # fmt: skip
def test_resources_that_do_not_fit_are_refused_with_a_remedy(
    resources: dict[str, Any], nodes: list[tuple[float, float]], words: str
) -> None:
    sizes = [NodeSize(*node) for node in nodes]
    with pytest.raises(UserError) as error:
        _num_concurrent(make({"resources": resources}).on(sum(node.gpus for node in sizes)), sizes)
    assert words in str(error.value)


def test_preview_shows_the_resources_of_all_ranks() -> None:
    from rich.console import Console

    console = Console(width=120, record=True)
    console.print(draw_preview(preview_of(make({"resources": {"cpu": 4, "gpus_per_trial": 2}}), [(16, 8)])))
    text = console.export_text()
    assert "2 processes on one node, each 4 CPUs, 1 GPU" in text
    assert "2 (16 CPUs, 8 GPUs)" in text


def test_placement_has_a_bundle_for_each_rank_on_one_node() -> None:
    from tune_runs.trial.rank_tasks import placement

    several = placement(ResourcesConfig(cpu=4, gpus_per_trial=3).on(8))
    assert several.bundles == [{"CPU": 4, "GPU": 1}] * 3
    assert several.strategy == "STRICT_PACK"
    assert placement(ResourcesConfig(cpu=2, gpu=0.25)).bundles == [{"CPU": 2, "GPU": 0.25}]


def test_lost_rank_is_a_lost_process() -> None:
    module = "Traceback (most recent call last):\n  ...\nabsgd.training.ranks.rank_failures"
    assert cause_of(f"{module}.RanksLost: rank 1: WorkerCrashedError").is_lost
    assert not cause_of(f"{module}.RankFailed: rank 1: KeyError: 'x'").is_lost
