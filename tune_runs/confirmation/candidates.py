"""The candidates of a confirmation, the configuration that a search chose and its controls, and their runs.

Pure plans, made from the records: a resumed search plans the same. Only the runs planned here read the test set.
Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from absgd.config import RunConfig
from absgd.config.sections import ClassBalanceConfig
from absgd.errors import UserError
from absgd.records import confirm_id
from absgd.registry.loss_table import LOSSES
from tune_runs.seed_pairs.pair_runs import PairRun, on_pair, with_trunks
from tune_runs.space.space_sections import ControlName, TunedControlName
from tune_runs.tuned_controls.tuned_methods import tuned_name
from tune_runs.tuned_controls.tuning_plan import BestControls


class Candidate(NamedTuple):
    """A configuration that is trained on every fresh pair of seeds."""

    name: str
    """Value of the column `candidate`: `best-1`, or the name of the control."""
    run: str
    """Prefix of the candidate's trial ids, before the seed pair; it changes with the configuration."""
    config: RunConfig
    """Config of the candidate, with the seeds of the search."""
    is_tuned: bool = False
    """Whether it is a control whose settings were searched too."""


class CandidateSet(NamedTuple):
    """The configuration that is confirmed in a scenario, and the controls that it is compared with."""

    members: tuple[Candidate, ...]
    """The configuration first."""
    notes: tuple[str, ...]
    """A sentence for each control that was asked for and is not trained."""


def with_controls(
    subject: Candidate,
    plain: RunConfig,
    scenario: str,
    names: Sequence[ControlName],
    tuned: BestControls = BestControls(),  # noqa: B008
) -> CandidateSet:
    """Return a configuration and its controls.

    Args:
        subject: the configuration that is confirmed.
        plain: plain control of the scenario's search; gives `class_tau` to controls that do not vary it.
        scenario: name of the scenario.
        names: controls asked for, with the settings of the configuration; those that have settings of their own and
            are tuned too are left out in favour of these.
        tuned: controls with the settings that were best in their own search; one that is equal to a control with the
            configuration's settings is confirmed under that name.
    """
    runs, notes = [subject], []
    found = {one.name for one in tuned.controls}
    replaced = {name for name in _WITH_OWN_SETTINGS if tuned_name(name) in found}
    for name in (one for one in get_args(ControlName) if one in names and one not in replaced):
        try:
            made = _CONTROL_RECIPES[name](subject.config, plain)
        except UserError as error:
            notes.append(f"control `{name}` is left out: {error}")
            continue
        if isinstance(made, str):
            notes += [f"control `{name}` is left out: {made}"] if made else []
            continue
        shown = _shown_name(name, subject.config)
        if same := _name_of_equal(made, runs):
            notes.append(f"control `{name}` is left out: it is identical to `{same}`")
        elif shown in (one.name for one in runs):
            notes.append(f"control `{name}` is left out: the control on the base criterion serves instead")
        else:
            runs.append(Candidate(shown, f"{scenario}-{shown}-{made.digest()}", made))
    for one in tuned.controls:
        if same := _name_of_equal(one.config, runs):
            notes.append(f"control `{one.name}` is left out: it is identical to `{same}`")
            runs = [run._replace(is_tuned=True) if run.name == same else run for run in runs]
        else:
            run = f"{scenario}-{one.name}-{one.config.digest()}"
            runs.append(Candidate(one.name, run, one.config, is_tuned=True))
    return CandidateSet(tuple(runs), (*notes, *tuned.notes))


def _name_of_equal(config: RunConfig, runs: Sequence[Candidate]) -> str | None:
    return next((one.name for one in runs if one.config.resolved() == config.resolved()), None)


def confirm_runs(candidates: Sequence[Candidate], pair: int) -> tuple[PairRun, ...]:
    """Return the runs of candidates on a seed pair, in the order in which they start."""
    return _linked_runs(tuple(candidates), pair)


@functools.lru_cache(maxsize=512)
def _linked_runs(candidates: tuple[Candidate, ...], pair: int) -> tuple[PairRun, ...]:
    """Remember the runs of earlier rounds, which are planned again whenever a run has ended."""
    return with_trunks([_on(pair, one) for one in candidates])


def _on(pair: int, candidate: Candidate) -> PairRun:
    return PairRun(confirm_id(candidate.run, pair), pair, "confirm", on_pair(candidate.config, pair), candidate.name)


def _shown_name(name: ControlName, winner: RunConfig) -> str:
    """Return the name of a control; one on the base criterion is named after it."""
    return name.replace("base", winner.loss.base)


ControlRecipe = Callable[[RunConfig, RunConfig], RunConfig | str]
"""Builds a control's config from the winner's and the plain control's, or returns the reason why there is none.

An empty reason is not reported.
"""


def _on_criterion(criterion: str, winner: RunConfig, class_tau: float, **values: Any) -> RunConfig:
    """Return the winner on another criterion, without attention weights."""
    settings: dict[str, Any] = {
        "loss.name": criterion,
        "loss.class_tau": class_tau,
        **({} if criterion == winner.loss.base else {"loss.options": {}}),
        "loss.tce_prune_from": winner.loss.tce_prune_from if LOSSES[criterion].prunes else None,
        "model.head": "auto",
    }
    return winner.stage_one().with_values({**settings, **values})


def _base(winner: RunConfig, _plain: RunConfig) -> RunConfig | str:
    return "" if winner.loss.base == "ce" else winner.stage_one()


def _base_lr(winner: RunConfig, _plain: RunConfig) -> RunConfig | str:
    return "" if winner.loss.base == "ce" else _at_raised_lr(winner.loss.base, winner)


def _ce(winner: RunConfig, plain: RunConfig) -> RunConfig | str:
    return _on_criterion("ce", winner, plain.loss.class_tau)


def _ce_lr(winner: RunConfig, _plain: RunConfig) -> RunConfig | str:
    return _at_raised_lr("ce", winner)


def _at_raised_lr(criterion: str, winner: RunConfig) -> RunConfig | str:
    """Raise the learning rate to the effective one of attention weights, which sum to about 1 / ab_alpha."""
    if winner.attention is None:
        return "the winner has no `ab_alpha`"
    lr = winner.optimizer.lr / winner.attention.ab_alpha
    return _on_criterion(criterion, winner, winner.loss.class_tau, **{"optimizer.lr": lr})


def _ce_tau(winner: RunConfig, plain: RunConfig) -> RunConfig | str:
    tau = winner.loss.class_tau
    return "" if tau in (0, plain.loss.class_tau) else _on_criterion("ce", winner, tau)


def _cb_ce_drw(winner: RunConfig, plain: RunConfig) -> RunConfig | str:
    return _deferred("ce", winner, plain)


def _ldam_drw(winner: RunConfig, plain: RunConfig) -> RunConfig | str:
    return _deferred("ldam", winner, plain)


def _deferred(criterion: str, winner: RunConfig, plain: RunConfig) -> RunConfig | str:
    """Reweight classes from the winner's switch epoch on."""
    if winner.attention is None:
        return "the winner has no switch epoch to defer to"
    switch, beta = winner.attention.switch_epoch, winner.class_balance.beta
    balance = {"type": "reweight", "beta": beta, "from_epoch": switch}
    return _on_criterion(criterion, winner, plain.loss.class_tau, class_balance=balance)


def _focal(winner: RunConfig, plain: RunConfig) -> RunConfig | str:
    return _on_criterion("focal", winner, plain.loss.class_tau)


def _balanced_softmax(winner: RunConfig, plain: RunConfig) -> RunConfig | str:
    """Take no class weights: balanced softmax itself corrects for the class counts."""
    none = ClassBalanceConfig().model_dump()
    return _on_criterion("balanced_softmax", winner, plain.loss.class_tau, class_balance=none)


_CONTROL_RECIPES: Mapping[ControlName, ControlRecipe] = {
    "base": _base,
    "base-lr": _base_lr,
    "ce": _ce,
    "ce-lr": _ce_lr,
    "ce-tau": _ce_tau,
    "cb-ce-drw": _cb_ce_drw,
    "ldam-drw": _ldam_drw,
    "focal": _focal,
    "balanced-softmax": _balanced_softmax,
}
_WITH_OWN_SETTINGS: tuple[TunedControlName, ...] = ("cb-ce-drw", "ldam-drw", "focal", "balanced-softmax")
"""Controls that answer no question about the configuration's own settings."""
