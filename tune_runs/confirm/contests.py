"""A contest from its candidates: which of them fork from which, and which must be beaten.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tune_runs.confirm.candidates import Candidate, confirm_runs
from tune_runs.confirm.rounds import Contest, Fork

_RAISED = "-lr"
"""Ends the name of a control at the raised learning rate; the rest is the control at the plain one."""


def contest_of(members: Sequence[Candidate], deciding: Collection[str]) -> Contest:
    """Return what the rounds of a confirmation need to know of its candidates.

    A control at the raised learning rate is trained only where the configuration leads the one at the plain rate.

    Args:
        members: the configuration, then its controls.
        deciding: names of the controls that it must beat.
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
        deciding=frozenset(names).intersection(deciding),
        gates={name: name.removesuffix(_RAISED) for name in names if name.endswith(_RAISED)},
    )
