"""Seed pairs, and the runs of one pair: those that share their first epochs with a plain run fork from it.

A pair is a data seed and a training seed: another split, other weights, another order. Pair 0 is that of `base.seeds`.
Pure plans: nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from absgd.config import RunConfig
from absgd.config.sections import ClassBalanceConfig, SeedConfig
from absgd.records import Phase
from tune_runs.trunks.trunk_use import fork_epoch

_NUM_SEEDS = 2**63


class SeedPair(NamedTuple):
    """The seeds of a run."""

    number: int
    """0 for the pair that a search begins with."""
    data: int
    train: int


@dataclasses.dataclass(frozen=True)
class PairRun:
    """A run that is planned on a seed pair; `with_trunks` says which others it forks from, or writes snapshots for."""

    trial_id: str
    pair: int
    """Number of the seed pair."""
    phase: Phase
    config: RunConfig
    """Config with the seeds of the pair."""
    candidate: str | None = None
    """Value of the column `candidate`: name of a confirmed configuration or control."""
    number: int | None = None
    """Number of the search trial that it repeats on the pair; None for other runs."""
    trunk: str | None = None
    """Trial id of the plain run on the same pair that it forks from; None: it trains from its first epoch."""
    trunk_key: str | None = None
    """Stage-one key of the trunk whose snapshots it reads or writes; None where it does neither."""
    fork_at: int = 0
    """Epochs that it shares with that run."""
    save_at: tuple[int, ...] = ()
    """Numbers of epochs, rising, after which it writes snapshots for runs that fork from it."""


def seed_pair(search: SeedConfig, number: int) -> SeedPair:
    """Return a seed pair; pairs differ from each other in both seeds.

    Args:
        search: the seeds that the search begins with, pair 0.
        number: number of the pair, from 0.

    >>> seed_pair(SeedConfig(data=0, train=7), 2)
    SeedPair(number=2, data=2, train=9)
    """
    return SeedPair(number, (search.data + number) % _NUM_SEEDS, (search.train + number) % _NUM_SEEDS)


def on_pair(config: RunConfig, number: int) -> RunConfig:
    """Return a config that has the seeds of pair 0 with those of another pair."""
    pair = seed_pair(config.seeds, number)
    return config.with_values({"seeds.data": pair.data, "seeds.train": pair.train})


def plain_prefix(config: RunConfig) -> tuple[RunConfig, int]:
    """Return the plain run that a run equals at first, and the number of epochs for which it does.

    With attention weights this is its stage one; without, the same run without class balance, where that is deferred,
    and without the post-hoc adjustment, which acts after the last epoch alone.
    """
    if config.attention is not None:
        return config.stage_one(), config.attention.switch_epoch
    if config.class_balance.type != "none":
        none = {"class_balance": ClassBalanceConfig().model_dump()}
        return config.stage_one().with_values(none), config.class_balance_epoch
    return config.stage_one(), config.epochs - 1 if config.loss.posthoc_tau else 0


def with_trunks(runs: Sequence[PairRun]) -> tuple[PairRun, ...]:
    """Return the runs of one pair, linked to the runs that they fork from, in the order in which they start.

    A run forks from a plain run of the pair that it equals at first; where two plain runs are equal, the later one
    forks from the earlier one before its last epoch. Runs that others fork from come first and forks last, so that the
    rest trains along with stage one. Epochs in the `save_at` of a plain run stay: other runs may be planned later.
    A run that is adjusted post hoc is no plain run: its last epoch is evaluated differently.
    """
    plain: dict[str, PairRun] = {}
    for run in runs:
        if run.config.attention is None and not run.config.loss.posthoc_tau:
            plain.setdefault(run.config.stage_one_key(), run)
    forks = {run.trial_id: fork for run in runs if (fork := _fork(run, plain))}
    trunks = {fork.trunk.trial_id for fork in forks.values()}
    forks = {trial_id: fork for trial_id, fork in forks.items() if trial_id not in trunks}
    return tuple(sorted((_linked(run, forks) for run in runs), key=_start_priority))


class _Fork(NamedTuple):
    trunk: PairRun
    key: str
    epochs: int


def _fork(run: PairRun, plain: dict[str, PairRun]) -> _Fork | None:
    own_key = run.config.stage_one_key()
    if run.config.attention is None and (own := plain.get(own_key)) not in (None, run):
        return _Fork(own, own_key, fork_epoch(run.config))
    prefix, epochs = plain_prefix(run.config)
    key = prefix.stage_one_key()
    trunk = plain.get(key)
    return _Fork(trunk, key, epochs) if trunk not in (None, run) and epochs else None


def _linked(run: PairRun, forks: dict[str, _Fork]) -> PairRun:
    if fork := forks.get(run.trial_id):
        return dataclasses.replace(run, trunk=fork.trunk.trial_id, trunk_key=fork.key, fork_at=fork.epochs)
    due = {*run.save_at, *(fork.epochs for fork in forks.values() if fork.trunk.trial_id == run.trial_id)}
    if not due:
        return run
    save_at = tuple(sorted({*due, run.config.epochs}))
    return dataclasses.replace(run, trunk_key=run.config.stage_one_key(), save_at=save_at)


def _start_priority(run: PairRun) -> int:
    return 0 if run.save_at else 1 if run.trunk is None else 2
