"""The rungs of a search space, at which trials are compared, and how many trials are expected to pass them.

Before its switch a trial equals the plain control, so comparing it there would rank noise: rungs are after the latest
switch, or count from each trial's own. Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Literal

from tune_runs.space.boundary import boundary_runs
from tune_runs.space.model import SearchSpace
from tune_runs.space.space_sections import StoppingRule

Unit = Literal["epochs", "epochs since the switch"]


@dataclasses.dataclass(frozen=True)
class Rung:
    """A point at which a trial is compared with those that reached it earlier."""

    at: int
    unit: Unit
    reduction_factor: int
    """About one trial in this many continues."""


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """When a search may stop trials."""

    epochs: int
    """Epochs of a trial that is not stopped."""
    earliest_switch: int | None
    """The earliest `switch_epoch` a trial may have; None when no trial has a stage two."""
    latest_switch: int | None
    """The latest `switch_epoch`."""
    rule: StoppingRule | None = None
    """The rule; None without early stopping."""
    grace_period: int | None = None
    """The first rung: with rule `asha` in epochs done, else in epochs since the switch; None without stopping."""
    ladder: tuple[Rung, ...] = ()
    """All rungs in the order in which a trial meets them; `median` compares at every epoch from its one rung on."""

    @property
    def unit(self) -> Unit:
        """Unit of `rungs`."""
        return self.ladder[0].unit if self.ladder else "epochs"

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs or ages at which trials are compared, in `unit`."""
        return tuple(rung.at for rung in self.ladder if rung.unit == self.unit)

    @property
    def final_rungs(self) -> tuple[int, ...]:
        """Epochs done at which trials are compared later, where `rungs` are counted from the switch."""
        return tuple(rung.at for rung in self.ladder if rung.unit != self.unit)

    @property
    def longest_stage_two(self) -> int:
        """Epochs after the earliest switch; all epochs in a space without a stage two."""
        return self.epochs - (self.earliest_switch or 0)

    @property
    def is_modelled(self) -> bool:
        """Whether the expected number of stopped trials can be computed; it cannot for `median` with a rung."""
        return self.rule != "median" or not self.ladder

    @property
    def words(self) -> str:
        """The rule in words."""
        return _WORDS[self.rule] + ("; then at the same epochs, by the metric" if self.final_rungs else "")

    def rung_at(self, switch_epoch: int | None, epoch: int) -> Rung | None:
        """Return the rung that a trial meets with this epoch, 0-based; None if it meets none.

        >>> stopping = EarlyStopping(60, 36, 52, "age", 3, (Rung(3, "epochs since the switch", 3),))
        >>> stopping.rung_at(40, 42), stopping.rung_at(40, 43)
        (Rung(at=3, unit='epochs since the switch', reduction_factor=3), None)
        """
        switch = self.start_of(switch_epoch)
        if self.rule == "median" and self.ladder and self.ladder[0].at <= epoch + 1 - switch < self.epochs - switch:
            return dataclasses.replace(self.ladder[0], at=epoch + 1 - switch)
        return next((rung for rung in self.ladder if self._met_at(rung, switch) == epoch + 1), None)

    def start_of(self, switch_epoch: int | None) -> int:
        """Return the epoch from which a trial's age counts: its switch; without a stage two, the latest switch."""
        return (self.latest_switch or 0) if switch_epoch is None else switch_epoch

    def survivors(self, num_trials: int, switch_epochs: Sequence[int]) -> tuple[float, ...]:
        """Return the trials expected to pass each rung of `ladder`, if they come in random order; empty for `median`.

        >>> ages = (Rung(1, "epochs since the switch", 3), Rung(3, "epochs since the switch", 3))
        >>> [round(left, 1) for left in EarlyStopping(60, 36, 52, "age", 1, ages).survivors(32, [36, 52])]
        [12.3, 5.4]
        """
        left = [flow.left for flow in self._flows(num_trials, switch_epochs)]
        return tuple(left[:-1])

    def expected_epochs(self, num_trials: int, switch_epochs: Sequence[int]) -> float:
        """Return the expected epochs of stage two of all trials, which switch in equal parts at `switch_epochs`.

        Where stopping is not modelled, no trial is taken to be stopped.

        >>> EarlyStopping(60, 36, 52).expected_epochs(32, [36, 52])
        512.0
        """
        return sum(flow.epochs for flow in self._flows(num_trials, switch_epochs))

    def _flows(self, num_trials: int, switch_epochs: Sequence[int]) -> Iterator[_Flow]:
        """Yield the flow of trials to each rung, and to the last epoch."""
        live = [num_trials / len(switch_epochs)] * len(switch_epochs)
        done = list(switch_epochs)
        for rung in self.ladder if self.is_modelled else ():
            met = {k: at for k, switch in enumerate(switch_epochs) if (at := self._met_at(rung, switch)) is not None}
            arriving = sum(live[k] for k in met)
            passing = expected_passing(arriving, rung.reduction_factor)
            epochs = sum(live[k] * (at - done[k]) for k, at in met.items())
            for k, at in met.items():
                live[k], done[k] = live[k] * passing / arriving, at
            yield _Flow(sum(live), epochs)
        yield _Flow(sum(live), sum(trials * (self.epochs - at) for trials, at in zip(live, done, strict=True)))

    def _met_at(self, rung: Rung, switch: int) -> int | None:
        """Return the epochs done at which a trial meets a rung before its last epoch; None if it does not."""
        if rung.unit == "epochs":
            return rung.at if switch < rung.at < self.epochs else None
        at = switch + rung.at
        return at if at < min(self.final_rungs, default=self.epochs) else None


@dataclasses.dataclass(frozen=True)
class _Flow:
    left: float
    """Trials not stopped at this rung or before."""
    epochs: float
    """Epochs trained by all trials since the rung before."""


def places(num_trials: int, reduction_factor: int) -> int:
    """Return how many of the trials that have met a rung may continue: one in `reduction_factor`, rounded up.

    >>> [places(trials, 3) for trials in (1, 2, 3, 4, 7)]
    [1, 1, 1, 2, 3]
    """
    return -(-num_trials // reduction_factor)


def expected_passing(num_trials: float, reduction_factor: int) -> float:
    """Return the trials expected to pass a rung if they meet it in random order.

    The n-th of them is among the best k with probability k / n.

    >>> round(expected_passing(4, 2), 2)  # 1 + 1/2 + 2/3 + 2/4
    2.67
    """
    whole = int(num_trials)
    listed = min(whole, _MAX_LISTED_TRIALS)
    shares = [places(n, reduction_factor) / n for n in range(1, listed + 2)]
    beyond = _mean_passing_beyond(listed, whole, reduction_factor)
    return sum(shares[:listed]) + beyond + (num_trials - whole) * shares[listed]


_MAX_LISTED_TRIALS = 10_000


def _mean_passing_beyond(first: int, last: int, reduction_factor: int) -> float:
    """Return the sum of ceil(n / k) / n for first < n <= last, each rounded up by the mean, (k - 1) / (2 k)."""
    if last <= first:
        return 0.0
    return (last - first) / reduction_factor + (1 - 1 / reduction_factor) / 2 * math.log(last / first)


def early_stopping(space: SearchSpace) -> EarlyStopping:
    """Return the switches, grace period and rungs of a space."""
    switches = _switches(space)
    none = EarlyStopping(space.epochs, min(switches, default=None), max(switches, default=None))
    config = space.early_stopping
    if config is None:
        return none
    grace = config.grace_period or _default_grace_period(config.rule, none)
    factor = config.reduction_factor or (ONE_PAIR_FACTOR if space.seeds.pairs == 1 else SEVERAL_PAIRS_FACTOR)
    ladder = _ladder(config.rule, factor, grace, none)
    return dataclasses.replace(none, rule=config.rule, grace_period=grace, ladder=ladder)


ONE_PAIR_FACTOR, SEVERAL_PAIRS_FACTOR = 3, 2
"""About one trial in so many continues at each rung, where the space does not say. Further pairs of seeds choose among
the trials that are left, so more are left where there are such; docs/seeds.md has the numbers."""
_GRACE_SHARE = 20
"""The default grace period is the number of epochs of the longest stage two, divided by this."""
_LEAST_GRACE = 2
"""Least default grace period, in epochs: right after the switch the network has not settled."""


def _default_grace_period(rule: StoppingRule, space: EarlyStopping) -> int:
    if rule == "asha":
        return 1 if space.latest_switch is None else space.latest_switch + 1
    return min(space.longest_stage_two, max(_LEAST_GRACE, space.longest_stage_two // _GRACE_SHARE))


def _ladder(rule: StoppingRule, factor: int, grace: int, space: EarlyStopping) -> tuple[Rung, ...]:
    powers = [factor**k for k in range(32)]
    if rule == "asha":
        return tuple(Rung(grace - 1 + power, "epochs", factor) for power in powers if grace - 1 + power < space.epochs)
    earliest, latest = space.earliest_switch or 0, space.latest_switch or 0
    final: tuple[Rung, ...] = ()
    if rule == "age_then_epoch" and earliest < latest:
        epochs = (latest + grace * power for power in powers)
        final = tuple(Rung(epoch, "epochs", factor) for epoch in epochs if epoch < space.epochs)
    ends_at = final[0].at if final else space.epochs
    ages = [grace * power for power in powers if earliest + grace * power < ends_at]
    if rule == "median":
        return tuple(Rung(age, "epochs since the switch", 2) for age in ages[:1])
    return (*(Rung(age, "epochs since the switch", factor) for age in ages), *final)


_WORDS: dict[StoppingRule | None, str] = {
    None: "none: every trial trains to the last epoch",
    "asha": "trials are compared at the same epoch, by the metric",
    "age": "trials are compared at equal ages since their switch, by the metric",
    "advantage": "trials are compared at equal ages since their switch, by their gain over the plain control",
    "mean_advantage": "trials are compared at equal ages since their switch, by their mean gain over the plain control",
    "median": "a trial stops when its best gain over the plain control is below the median of the others' mean gains",
    "age_then_epoch": "trials are compared at equal ages since their switch, by their best gain over the plain control",
}


def _switches(space: SearchSpace) -> list[int]:
    settings = (merged for scenario in space.scenario_list for _, merged in boundary_runs(space, scenario))
    switches = [(merged.get("attention") or {}).get("switch_epoch") for merged in settings]
    return [switch for switch in switches if switch is not None]
