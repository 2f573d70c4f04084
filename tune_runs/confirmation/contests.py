"""The contest of a confirmation: its candidates, which of them fork from which, which must be beaten, what they cost.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from absgd.records import deciding_names
from tune_runs.confirmation.candidates import Candidate, confirm_runs

_RAISED = "-lr"
"""Ends the name of a control at the raised learning rate; the rest is the control at the plain one."""


class Fork(NamedTuple):
    """The plain run that a candidate equals at first."""

    trunk: str
    """Name of the candidate that is this plain run."""
    epochs: int
    """Epochs for which it does."""


@dataclass(frozen=True)
class Contest:
    """The candidates of a confirmation by name."""

    subject: str
    """The configuration that the confirmation is about."""
    rivals: tuple[str, ...]
    """The candidates that it is compared with."""
    epochs: int
    """Epochs of a run."""
    forks: Mapping[str, Fork] = field(default_factory=dict)
    """Candidate -> the plain run that it forks from, where that is trained too."""
    deciding: frozenset[str] = frozenset()
    """Rivals that the subject must beat to be called better."""
    tuned: frozenset[str] = frozenset()
    """Rivals whose settings were searched too: a claim is wanted about each, and one that leads does not wait."""
    gates: Mapping[str, str] = field(default_factory=dict)
    """Rival -> the rival that the subject must lead before it is trained."""

    @cached_property
    def awaited(self) -> Mapping[str, frozenset[str]]:
        """Rival -> the rivals that the subject must beat before it is trained on a second pair.

        A control at the raised learning rate waits for the one at the plain rate. Rivals with a stage one of their own
        that do not decide wait for all that do: they are dear.
        """
        trunks = {fork.trunk for fork in self.forks.values()}
        dear = set(self.rivals) - self.deciding - trunks - set(self.forks) if self.deciding else set()
        gated = {rival: gate for rival, gate in self.gates.items() if {rival, gate} <= set(self.rivals)}
        raised = {rival: frozenset({gate}) for rival, gate in gated.items() if rival not in trunks}
        return {**dict.fromkeys(sorted(dear), self.deciding), **raised}

    @property
    def certain_trunk(self) -> str | None:
        """The plain run that the subject forks from, where it is trained on the second pair in any case; else None.

        Nothing is claimed after one pair, so the subject and a rival that decides take part in the next one.
        """
        fork = self.forks.get(self.subject)
        return fork.trunk if fork and fork.trunk in self.deciding - self.awaited.keys() else None


def contest_of(members: Sequence[Candidate]) -> Contest:
    """Return what the rounds of a confirmation need to know of its candidates.

    A control at the raised learning rate is trained only where the configuration leads the one at the plain rate.

    Args:
        members: the configuration, then its controls.
    """
    subject, *rivals = members
    runs = {run.trial_id: run for run in confirm_runs(members, 1)}
    forks = {
        str(run.candidate): Fork(str(runs[run.trunk].candidate), run.fork_at) for run in runs.values() if run.trunk
    }
    names = tuple(one.name for one in rivals)
    return Contest(
        subject=subject.name,
        rivals=names,
        epochs=subject.config.epochs,
        forks=forks,
        deciding=frozenset(names).intersection(deciding_controls(subject)),
        tuned=frozenset(one.name for one in rivals if one.is_tuned),
        gates={name: name.removesuffix(_RAISED) for name in names if name.endswith(_RAISED)},
    )


def deciding_controls(subject: Candidate) -> tuple[str, ...]:
    """Return the names of the controls that a configuration must beat to be called better."""
    attention = subject.config.attention
    return deciding_names(subject.config.loss.name, attention.ab_alpha if attention else None)


def epochs_of_round(contest: Contest, names: Collection[str]) -> int:
    """Return the epochs that these candidates train on one pair."""
    return sum(epochs_of(contest, name, names) for name in names)


def epochs_of(contest: Contest, name: str, members: Collection[str]) -> int:
    """Return the epochs that a candidate trains on a pair on which `members` take part."""
    fork = contest.forks.get(name)
    return contest.epochs - (fork.epochs if fork and fork.trunk in members else 0)
