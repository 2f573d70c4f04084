"""The packing probe with real processes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.spaces import first_plan, make
from tune_runs.preview.packing_probe import (
    probe_packings,
)
from tune_runs.preview.packings import Packing
from tune_runs.space.model import SearchSpace

SMALL: dict[str, Any] = {"base/data": {"name": "digits", "val_per_class": 5, "n_max": 12}, "base/batch_size": 32}


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return make(SMALL)


def test_probe_trains_real_trials(space: SearchSpace) -> None:
    said: list[str] = []
    found = probe_packings(space, first_plan(space), epoch_s=0.5, num_cpus=2, num_gpus=0, say=said.append, kind_s=2)
    assert [row.packing.words for row in found.results] == [
        "{cpu: 2, gpu: 0}",
        "{cpu: 1, gpu: 0}",
        "{cpu: 2, gpu: 0, cohort: 2}",
    ]
    probed = [line for line in said if not line.startswith("measuring again")]  # as on a busy machine
    assert len(probed) >= 2
    assert {line.split(",")[0] for line in probed} == {"probing digits: 1"}
    assert (found.device, found.own, found.on_gpu) == ("2 CPUs", Packing(2, 1, 0), False)
    for row in found.results:
        assert not row.failure
        assert row.images_per_s > 0
        assert row.speedup.least <= row.speedup.median <= row.speedup.most
        assert row.peak_bytes > 100 * 2**20, "torch itself is larger"
    alone, processes, cohort = (row.peak_bytes for row in found.results)
    assert processes > 1.5 * alone
    assert cohort < 1.5 * alone, "one process holds both"


def test_probe_reports_a_loss_that_is_not_finite() -> None:
    broken = make({**SMALL, "base/optimizer": {"weight_decay": 1e30}})
    found = probe_packings(broken, first_plan(broken), epoch_s=0.5, num_cpus=1, num_gpus=0, say=lambda _: None)
    (only,) = found.results
    assert "non-finite" in only.failure
    assert "Traceback" not in only.failure


def test_probe_of_a_search_with_one_trial_tries_no_more() -> None:
    space = make({**SMALL, "num_trials": 1})
    found = probe_packings(space, first_plan(space), 0.5, num_cpus=2, num_gpus=0, say=lambda _: None, kind_s=0.1)
    assert [row.packing.trials for row in found.results] == [1]
