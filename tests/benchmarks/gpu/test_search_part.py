"""Part 6: the spaces that both sides search, and the comparison of what was run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.complete_curves.curve_training import random_configs
from benchmarks.gpu.part_job import PartFailed, PartJob, PartOrder
from benchmarks.gpu.part_records import RUNNING, PartRecord
from benchmarks.gpu.part_table import PARTS
from benchmarks.gpu.search_part import FAST, OURS, OURS_ON_CPU, SearchOutcome, compared_section, measure, searched_space
from tune_runs.request.space_files import with_options


def job_in(folder: Path, is_dry_run: bool, data_root: str | None = None) -> PartJob:
    order = PartOrder(PARTS[5], folder, is_dry_run, time.monotonic() + 60, data_root)
    return PartJob(order, PartRecord(6, is_dry_run, RUNNING, 60.0))


def test_search_has_the_full_size_and_fixed_configurations(tmp_path: Path) -> None:
    space = searched_space(job_in(tmp_path, False, "/images"), FAST)
    base = space.to_dict()["base"]
    assert (base["model"]["name"], space.epochs, space.num_trials) == ("resnet20", 40, 32)
    assert (base["device"]["fast"], base["data"]["root"]) == (True, "/images")
    assert (len(space.scenario_list), space.confirm, len(space.enqueue)) == (1, None, 32)
    plain = searched_space(job_in(tmp_path, False, "/images"), {})
    scenario = space.scenario_list[0]
    assert [run.with_values({"device.fast": True}) for run in random_configs(plain, scenario)] == random_configs(
        space, scenario
    )


@pytest.mark.parametrize(("is_dry_run", "ways"), [(True, OURS_ON_CPU), (False, OURS)])
def test_resources_of_each_way_are_valid(tmp_path: Path, is_dry_run: bool, ways: dict[str, dict[str, Any]]) -> None:
    space = searched_space(job_in(tmp_path, is_dry_run), FAST)
    cohorts, processes = (with_options(space, {"resources": resources}).resources for resources in ways.values())
    assert cohorts.cohort > 1 == processes.cohort
    assert (cohorts.gpu == 0) == (processes.gpu == 0) == is_dry_run


def test_toy_search_is_small(tmp_path: Path) -> None:
    space = searched_space(job_in(tmp_path, True), {})
    assert (space.num_trials, space.epochs) == (2, 3)


def test_what_was_not_run_is_not_compared() -> None:
    found = {"processes": SearchOutcome(20.0, 100, 0.5, 0)}
    assert compared_section(found).lines[1:] == (
        "cohorts beside plain Ray Tune: not measured",
        "processes beside plain Ray Tune: not measured",
    )
    found |= {"cohorts": SearchOutcome(10.0, 100, 0.5, 0), "plain": SearchOutcome(60.0, 400, 0.5, 0)}
    assert compared_section(found).lines[3:] == (
        "cohorts: 6.00 times as fast as plain Ray Tune",
        "processes: 3.00 times as fast as plain Ray Tune",
        "cohorts: 2.00 times as fast as processes",
    )


def test_missing_ray_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu.search_part.find_spec", lambda _: None)
    with pytest.raises(PartFailed, match="it needs the package ray, which is not installed"):
        measure(job_in(tmp_path, True))
