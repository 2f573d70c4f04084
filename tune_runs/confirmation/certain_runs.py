"""Runs that a confirmation trains whichever trial the search chooses; they may begin before it has chosen.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

from tune_runs.confirmation.candidates import Candidate, confirm_runs
from tune_runs.confirmation.contests import contest_of
from tune_runs.seed_pairs.pair_runs import PairRun

CertainRuns = Mapping[str, PairRun]
"""Trial id -> run, in the order in which they start."""


def certain_runs_of(members: Sequence[Candidate], first_pair: int, max_pairs: int) -> CertainRuns:
    """Return the runs that a confirmation trains in any case, and that wait for no other run.

    These are the first pair's runs from scratch, except those that wait for a score of the configuration, and the trunk
    of the second pair.

    Args:
        members: the configuration, then its controls.
        first_pair: seed pair of the first round.
        max_pairs: most seed pairs.
    """
    contest = contest_of(members)
    first = confirm_runs(members, first_pair)
    runs = [run for run in first if run.trunk is None and run.candidate not in (contest.subject, *contest.gates)]
    if max_pairs > 1 and contest.certain_trunk is not None:
        runs += [run for run in confirm_runs(members, first_pair + 1) if run.candidate == contest.certain_trunk]
    return {run.trial_id: run for run in sorted(runs, key=lambda run: not run.save_at)}


def in_common(every: Iterable[CertainRuns]) -> tuple[PairRun, ...]:
    """Return the runs that are certain whichever configuration is chosen; they save snapshots for the forks of all.

    Args:
        every: the certain runs of each configuration that may be chosen; at least one.
    """
    common = reduce(
        lambda one, other: {name: _for_both(run, other[name]) for name, run in one.items() if name in other}, every
    )
    return tuple(common.values())


def _for_both(one: PairRun, other: PairRun) -> PairRun:
    save_at = tuple(sorted({*one.save_at, *other.save_at}))
    return dataclasses.replace(one, save_at=save_at, trunk_key=one.trunk_key or other.trunk_key)
