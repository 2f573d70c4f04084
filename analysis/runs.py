"""What `load` gives: the frames of one or many run folders, and every question asked of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from absgd.errors import UserError
from analysis.folders import Problem, RunFolder
from analysis.frames import KEY, SCENARIO
from analysis.numbers import plural
from analysis.selection import DEFAULT_RULE, RuleName, SelectionRule, with_scores

if TYPE_CHECKING:
    from analysis.compare import On
    from analysis.importance import Method
    from analysis.verdict import Verdict

BY: tuple[str, ...] = ("dataset", "imbalance_type", "imbalance_ratio", "noise_type", "noise_rate")
"""Data set, imbalance and noise: what a best configuration is told for, unless said otherwise."""


@dataclasses.dataclass(frozen=True)
class Runs:
    """Trials and epochs of run folders, under one selection rule."""

    trials: pd.DataFrame
    """One row per trial: `folder`, then the columns of trials.parquet (docs/results.md)."""
    epochs: pd.DataFrame
    """One row per trial and epoch: `folder`, then the columns of epochs.parquet (docs/results.md)."""
    folders: tuple[RunFolder, ...] = ()
    """Where they come from, with space.yaml and environment.json."""
    problems: tuple[Problem, ...] = ()
    """What was not whole, and so is not in the frames."""
    rule: SelectionRule = dataclasses.field(default_factory=SelectionRule)
    """How scores are read off curves; printed in every table."""

    def using(self, rule: RuleName = DEFAULT_RULE, last_k: int = 3) -> Runs:
        """The same runs under another selection rule."""
        return dataclasses.replace(self, rule=SelectionRule(rule, last_k))

    def where(self, **values: object) -> Runs:
        """The part of the runs whose trials have these values: ``runs.where(dataset="digits")``.

        Raises:
            UserError: if there is no such column, or no such trial.
        """
        keep = pd.Series(True, index=self.trials.index)
        for name, value in values.items():
            if name not in self.trials.columns:
                raise UserError(f"no column `{name}` to choose by")
            keep &= self.trials[name].map(lambda own, wanted=value: _equal(own, wanted))
        if not keep.any():
            raise UserError(f"no trial with {', '.join(f'{name} = {value!r}' for name, value in values.items())}")
        trials = self.trials[keep].reset_index(drop=True)
        wanted = pd.MultiIndex.from_frame(trials[["folder", "trial_id"]])
        own = pd.MultiIndex.from_frame(self.epochs[["folder", "trial_id"]]).isin(wanted)
        folders = tuple(folder for folder in self.folders if folder.name in set(trials.folder))
        return dataclasses.replace(self, trials=trials, epochs=self.epochs[own].reset_index(drop=True), folders=folders)

    def scenarios(self) -> Iterator[Runs]:
        """The runs of one scenario of one folder at a time, in order."""
        yield from self._scenarios

    def space_of(self, folder: str) -> Mapping[str, Any]:
        """space.yaml of a folder; empty where there is none."""
        return next((one.space for one in self.folders if one.name == folder), {})

    @cached_property
    def _scenarios(self) -> tuple[Runs, ...]:
        number = self.trials.groupby(SCENARIO, sort=False).ngroup()  # one pass over all rows, not one for each scenario
        place = pd.Series(number.to_numpy(), index=pd.MultiIndex.from_frame(self.trials[KEY]))
        place = place[~place.index.duplicated()]
        of_epochs = place.reindex(pd.MultiIndex.from_frame(self.epochs[KEY])).to_numpy()
        epochs = self.epochs.groupby(of_epochs).indices
        found = []
        for index, own in self.trials.groupby(number):
            trials, rows = own.reset_index(drop=True), epochs.get(index, [])
            folders = tuple(folder for folder in self.folders if folder.name == trials.folder.iloc[0])
            curves = self.epochs.iloc[rows].reset_index(drop=True)
            found.append(dataclasses.replace(self, trials=trials, epochs=curves, folders=folders))
        return tuple(found)

    @cached_property
    def scored(self) -> pd.DataFrame:
        """`trials` with `score`, `rank_score` and `test`: see `analysis.selection.with_scores`."""
        return with_scores(self.trials, self.epochs, self.rule)

    @cached_property
    def configurations(self) -> pd.DataFrame:
        """One row per configuration with means over its seeds: see `analysis.best.configurations`."""
        from analysis.best import configurations

        return configurations(self.scored)

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """`compare(control=None)`; empty where nothing has a control."""
        try:
            return self.compare(control=None)
        except UserError:
            return pd.DataFrame(columns=[*SCENARIO, "control", "n"])

    @cached_property
    def shown(self) -> pd.DataFrame:
        """Trials of winners and controls: see `analysis.winners.shown_trials`."""
        from analysis.winners import shown_trials

        return shown_trials(self)

    def best(self, by: str | Sequence[str] = BY) -> pd.DataFrame:
        """The best configuration of each group, chosen on validation: see `analysis.best.best`."""
        from analysis.best import best

        return best(self, by)

    def compare(self, control: str | None = "ce", on: On = "auto") -> pd.DataFrame:
        """The best configuration of each scenario beside a control, paired by seed: see `analysis.compare.compare`."""
        from analysis.compare import compare

        return compare(self, control, on)

    def verdicts(self) -> list[Verdict]:
        """What can be said of each scenario, in sentences: see `analysis.verdict.verdicts`."""
        from analysis.verdict import verdicts

        return verdicts(self)

    def cautions(self) -> pd.DataFrame:
        """What stands against a choice: see `analysis.cautions.cautions`."""
        from analysis.cautions import cautions

        return cautions(self)

    def importance(self, method: Method = "ped-anova") -> pd.DataFrame:
        """How much each searched parameter matters: see `analysis.importance.importance`."""
        from analysis.importance import importance

        return importance(self, method)

    def curves(self, metric: str | None = None) -> pd.DataFrame:
        """Learning curves of all trials: see `analysis.curves.curves`."""
        from analysis.curves import curves

        return curves(self, metric)

    def landscape(self, x: str = "lam", y: str = "gamma") -> pd.DataFrame:
        """Scores of search trials over two parameters: see `analysis.landscape.landscape`."""
        from analysis.landscape import landscape

        return landscape(self, x, y)

    def recall_by_class(self) -> pd.DataFrame:
        """Recall of each class, winner beside controls: see `analysis.classes.recall_by_class`."""
        from analysis.classes import recall_by_class

        return recall_by_class(self)

    def attention_weights(self) -> pd.DataFrame:
        """Mean weights of the winner over epochs: see `analysis.classes.attention_weights`."""
        from analysis.classes import attention_weights

        return attention_weights(self)

    def savings(self) -> pd.DataFrame:
        """Epochs that the trunk and early stopping saved: see `analysis.savings.savings`."""
        from analysis.savings import savings

        return savings(self)

    def __repr__(self) -> str:
        """Counts, and what was not whole."""
        counts = {"trial": len(self.trials), "epoch": len(self.epochs), "run folder": len(self.folders)}
        count = ", ".join(plural(number, noun) for noun, number in counts.items())
        problems = f", {plural(len(self.problems), 'problem')} (see .problems)" if self.problems else ""
        return f"<Runs: {count}{problems}; selection rule: {self.rule.title}>"


def _equal(own: object, wanted: object) -> bool:
    return bool(pd.api.types.is_scalar(own) and not pd.isna(own) and own == wanted)  # type: ignore[call-overload]
