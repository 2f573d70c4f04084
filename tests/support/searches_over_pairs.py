"""Searches over further seed pairs on curves: a small space, a curve, and kills that leave the same tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from absgd.config import RunConfig
from tests.support.fake_searches import CLOCKS, EPOCH_CLOCKS, EXP, STOPPING, epochs, space_of, trials
from tests.support.fake_tuner import FakeTuner, rising
from tune_runs.space.model import SearchSpace

SEEDS = {"pairs": 3, "reduction_factor": 3}

POINTS: list[dict[str, Any]] = [
    {"gamma": gamma, "switch_epoch": switch}
    for gamma, switch in [
        (0.9, 4),
        (0.13, 5),
        (0.41, 3),
        (0.56, 3),
        (0.2, 3),
        (0.98, 5),
        (0.87, 3),
        (0.81, 5),
        (0.54, 5),
    ]
]
"""Points of nine trials: given, since Optuna proposes other values in other versions once it has seen a few trials."""
UNLUCKY = {"gamma": 0.96, "switch_epoch": 3}
"""Point of a trial that `lucky` makes the best on pair 0 alone."""


def pairs_space(**changes: Any) -> SearchSpace:
    given = {} if changes.keys() & {"num_trials", "search"} else {"enqueue": POINTS}
    return space_of(**{"num_trials": 9, "early_stopping": None, "seeds": SEEDS, **given, **changes})


def lucky(config: RunConfig, epoch: int) -> float:
    """Return a curve whose best trial on pair 0 is worse on every other pair; each pair has a level of its own."""
    pair = config.seeds.data
    level = (0.0, 0.3, -0.2)[pair]
    gamma = config.attention.gamma if config.attention else 0.0
    return level + (0.0 if gamma > 0.95 and pair else rising(config, epoch))


def frames(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the records of a search in an order that does not depend on which run ended first, without times."""
    table = trials(folder).drop(columns=CLOCKS).sort_values("trial_id").reset_index(drop=True)
    rows = epochs(folder).drop(columns=EPOCH_CLOCKS).sort_values(["trial_id", "epoch"]).reset_index(drop=True)
    return table, rows


def assert_equal(one: Path, other: Path) -> None:
    for ours, theirs in zip(frames(one), frames(other), strict=True):
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    bests = [(folder / f"best/{EXP}.yaml").read_text().partition("scenario")[2] for folder in (one, other)]
    assert bests[0] == bests[1]


def replicates(folder: Path) -> pd.DataFrame:
    return trials(folder).query("phase == 'replicate'")


def assert_kills_leave_the_same_tables(place: Path, concurrent: int, every: int) -> None:
    """Kill a search at each `every`-th result once its trials are on further pairs, and resume it.

    Its tables are those of an uninterrupted one.
    """
    points = [*POINTS[:4], UNLUCKY]
    space = pairs_space(num_trials=5, enqueue=points, early_stopping=STOPPING, keep_checkpoints=2)
    first = _first_result_of_a_replicate(space, place / "first", concurrent)
    for _ in resumed_after_kills(
        lambda folder: FakeTuner(space, folder, lucky, concurrent=concurrent), place, every, first
    ):
        pass
    assert len(replicates(place / "whole")) == 4


def resumed_after_kills(
    make: Callable[[Path], FakeTuner], place: Path, every: int, first: int = 1
) -> Iterator[tuple[FakeTuner, FakeTuner]]:
    """Kill a search at each `every`-th result from `first` on and resume it; the tables are those of a whole one.

    Yields:
        The search as it was killed, and the one that resumed it.
    """
    count = sum(1 for _ in make(place / "whole").results({}))
    killed = make(place / "killed")
    results = killed.results({})
    for moment in range(1, count):
        next(results)
        if moment >= first and moment % every == 0:
            folder = place / f"killed at {moment}"
            shutil.copytree(place / "killed", folder)
            resumed = make(folder)
            resumed.run()
            assert_equal(folder, place / "whole")
            yield killed, resumed


def _first_result_of_a_replicate(space: SearchSpace, folder: Path, concurrent: int) -> int:
    """Return when trials are on a further pair: before, which of them are stopped depends on the order of arrival."""
    tuner = FakeTuner(space, folder, lucky, concurrent=concurrent)
    for moment, trial_id in enumerate(tuner.results({}), start=1):
        if tuner.recorder.trials[trial_id].phase == "replicate":
            return moment
    raise AssertionError("no further pair")
