"""The rule `asha` beside Ray's own `ASHAScheduler`, on the same curves, one trial at a time: where both stop a trial.

Ray's bar is a percentile of the values already at a rung. Where it lies between two of them, Ray interpolates; ours
counts places. The two can differ only for a value between these two, for equal values, and for NaN.
"""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Literal, NamedTuple

import numpy as np
import pytest
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from tests.support.spaces import make
from tune_runs.stopping.rungs import EarlyStopping, early_stopping
from tune_runs.stopping.stopping_rules import ScenarioStopping

SWITCH, EPOCHS = 5, 60
Mode = Literal["max", "min"]


class Curve(NamedTuple):
    """The metric of a trial at each epoch."""

    trial_id: str
    values: list[float]


class RaysAsha:
    """Ray's scheduler as a script gives it to Ray Tune, with a clock that counts from the first rung."""

    def __init__(self, stopping: EarlyStopping, factor: int, mode: Mode) -> None:
        assert stopping.grace_period is not None
        self.first = stopping.grace_period
        self.scheduler = ASHAScheduler(
            time_attr="clock", metric="metric", mode=mode, grace_period=1, max_t=EPOCHS, reduction_factor=factor
        )

    def begin(self, trial_id: str) -> None:
        self.scheduler.on_trial_add(None, SimpleNamespace(trial_id=trial_id))

    def stops(self, trial_id: str, epoch: int, value: float) -> bool:
        result = {"clock": epoch + 2 - self.first, "metric": value}
        action = self.scheduler.on_trial_result(None, SimpleNamespace(trial_id=trial_id), result)
        return bool(action == TrialScheduler.STOP)

    def others_at(self, epoch: int) -> list[float]:
        """The values of earlier trials at the rung that an epoch meets, larger is better; none if it meets none."""
        (bracket,) = self.scheduler._brackets
        return next((list(at.values()) for rung, at in bracket._rungs if rung == epoch + 2 - self.first), [])


def stopping_of(factor: int, grace: int | None) -> EarlyStopping:
    rule = {"rule": "asha", "reduction_factor": factor, **({"grace_period": grace} if grace else {})}
    space = {"base/epochs": EPOCHS, "search/switch_epoch": {"choices": [SWITCH]}, "early_stopping": rule}
    return early_stopping(make(space))


def stops_at(judge: ScenarioStopping, ray: RaysAsha, curve: Curve) -> tuple[int | None, int | None]:
    """Train one trial to its end under both; return the epochs at which each has stopped it."""
    ray.begin(curve.trial_id)
    ours: int | None = None
    rays: int | None = None
    for epoch, value in enumerate(curve.values):
        if ours is None and judge.falls_behind(curve.trial_id, SWITCH, epoch, value):
            ours = epoch
        if rays is None and ray.stops(curve.trial_id, epoch, value):
            rays = epoch
    return ours, rays


def is_between(value: float, others: list[float], factor: int) -> bool:
    """Whether a value lies between, or on one of, the two neighbours that Ray's percentile interpolates."""
    place = (len(others) - 1) * (1 - 1 / factor)
    if not others or abs(place - round(place)) < 1e-9:
        return False
    low, high = sorted(others)[math.floor(place)], sorted(others)[math.ceil(place)]
    return low <= value <= high


def random_curve(source: random.Random, number: int, mode: Mode) -> Curve:
    """Return a curve that rises with noise, as a metric does, or one that falls, as a loss does."""
    end, sign = source.random(), 1 if mode == "max" else -1
    values = [sign * (end * (1 - math.exp(-epoch / 10)) + source.gauss(0, 0.02)) for epoch in range(EPOCHS)]
    return Curve(f"trial-{number}", values)


def meets_no_gap(curve: Curve, ray: RaysAsha, factor: int, mode: Mode) -> bool:
    sign = 1 if mode == "max" else -1
    return not any(is_between(sign * value, ray.others_at(epoch), factor) for epoch, value in enumerate(curve.values))


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("grace", [None, 12])
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_both_stop_the_same_trials_at_the_same_epochs(seed: int, factor: int, grace: int | None, mode: Mode) -> None:
    source, stopping = random.Random(f"{seed} {factor}"), stopping_of(factor, grace)
    judge, ray = ScenarioStopping(stopping, mode, lambda _: None), RaysAsha(stopping, factor, mode)
    found = []
    for number in range(100):
        curve = random_curve(source, number, mode)
        if meets_no_gap(curve, ray, factor, mode):
            found.append(stops_at(judge, ray, curve))
    ours, rays = zip(*found, strict=True)
    assert ours == rays
    assert {None, *(rung - 1 for rung in stopping.rungs[:2])} <= set(ours), "some at each of these rungs, and not all"


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_on_any_curves_they_differ_only_between_two_values(factor: int) -> None:
    source, stopping, differing = random.Random(factor), stopping_of(factor, grace=None), 0
    for _search in range(5):
        judge, ray = ScenarioStopping(stopping, "max", lambda _: None), RaysAsha(stopping, factor, "max")
        for number in range(60):
            trial_id, values = random_curve(source, number, "max")
            ray.begin(trial_id)
            for epoch, value in enumerate(values):
                others = ray.others_at(epoch)
                ours = judge.falls_behind(trial_id, SWITCH, epoch, value)
                rays = ray.stops(trial_id, epoch, value)
                if others and ours != rays:
                    differing += 1
                    assert is_between(value, others, factor)
                    assert rays == (value < np.percentile(others, 100 * (1 - 1 / factor)))
                if ours or rays:
                    break
    assert differing, "the test meets the case that it is about"


def decisions(values: list[float], factor: int = 3) -> tuple[list[bool], list[bool]]:
    """Bring trials to the first rung one after another; return which of them each has stopped there."""
    stopping = stopping_of(factor, grace=None)
    judge, ray = ScenarioStopping(stopping, "max", lambda _: None), RaysAsha(stopping, factor, "max")
    assert stopping.grace_period == SWITCH + 1
    found = [stops_at(judge, ray, Curve(f"trial-{n}", [0.0] * SWITCH + [value])) for n, value in enumerate(values)]
    return [ours is not None for ours, _ in found], [rays is not None for _, rays in found]


def test_ray_interpolates_between_two_values_and_ours_counts_places() -> None:
    ours, rays = decisions([0.0, 1.0, 0.6])  # the second of three: 1 of 3 passes; two thirds from 0 to 1 are the bar
    assert (ours, rays) == ([False, False, True], [False, False, True])
    ours, rays = decisions([0.0, 1.0, 0.7])
    assert (ours, rays) == ([False, False, True], [False, False, False])


def test_rays_equal_trials_all_pass_and_ours_count_half() -> None:
    ours, rays = decisions([0.5] * 6)
    assert rays == [False] * 6
    assert ours == [False, False, True, False, True, True]


def test_rays_nan_passes_and_ours_falls_behind() -> None:
    ours, rays = decisions([0.5, 0.4, math.nan])
    assert (ours, rays) == ([False, True, True], [False, True, False])


def test_ray_stops_at_max_t_and_ours_has_no_rung_at_the_last_epoch() -> None:
    stopping = stopping_of(2, grace=None)
    judge, ray = ScenarioStopping(stopping, "max", lambda _: None), RaysAsha(stopping, 2, "max")
    ray.scheduler._max_t = EPOCHS - SWITCH
    assert stops_at(judge, ray, Curve("trial-0", [0.5] * EPOCHS)) == (None, EPOCHS - 1)
