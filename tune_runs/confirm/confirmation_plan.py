"""The plan of a confirmation: its candidates and their runs, before and after the winner is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from absgd import records
from absgd.config import RunConfig
from tune_runs.confirm.candidates import Candidate, CandidateSet, confirm_runs, with_controls
from tune_runs.seed_pairs.pair_runs import PairRun, SeedPair
from tune_runs.space.model import ControlName


@dataclass(frozen=True)
class ConfirmationPlan:
    """The candidates of a scenario's confirmation and their runs."""

    candidates: CandidateSet
    all_runs: tuple[PairRun, ...]
    """Runs of all candidates; in a provisional plan the controls are those of `best-1`."""
    runs: tuple[PairRun, ...]
    """Runs of `all_runs` that may start now or have started, in the order in which they start."""
    is_final: bool
    """Whether the winner is known, so that the plan no longer changes."""

    @property
    def best_runs(self) -> tuple[PairRun, ...]:
        """Runs of the configurations that may win."""
        return tuple(run for run in self.all_runs if _is_best(run))


NOTHING_TO_CONFIRM = ConfirmationPlan(CandidateSet((), ()), (), (), is_final=True)
"""The plan where no trial was completed."""


def provisional_plan(
    best: Sequence[Candidate],
    plain: RunConfig,
    scenario: str,
    controls: Sequence[ControlName],
    pairs: Sequence[SeedPair],
) -> ConfirmationPlan:
    """Plan the best configurations and, of the controls of `best-1`, only the runs that they fork from.

    Args:
        best: configurations that may win, the best of the search first.
        plain: plain control of the scenario's search.
        scenario: name of the scenario.
        controls: names of the controls asked for.
        pairs: fresh seed pairs.
    """
    candidates = with_controls(best, best[0], plain, scenario, controls)
    all_runs = confirm_runs(candidates.members, pairs)
    trunks = {run.trunk for run in all_runs if _is_best(run)}
    runs = tuple(run for run in all_runs if _is_best(run) or run.trial_id in trunks)
    return ConfirmationPlan(candidates, all_runs, runs, is_final=False)


def final_plan(
    best: Sequence[Candidate],
    winner: Candidate,
    plain: RunConfig,
    scenario: str,
    controls: Sequence[ControlName],
    pairs: Sequence[SeedPair],
) -> ConfirmationPlan:
    """Plan the best configurations and the controls of the winner among them; arguments as in `provisional_plan`."""
    candidates = with_controls(best, winner, plain, scenario, controls)
    all_runs = confirm_runs(candidates.members, pairs)
    return ConfirmationPlan(candidates, all_runs, all_runs, is_final=True)


def _is_best(run: PairRun) -> bool:
    return run.candidate is not None and records.is_best(run.candidate)
