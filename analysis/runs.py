"""`Runs`: the frames that `load` returns, with every question asked of them as a method."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property

import pandas as pd

from absgd.counts import plural
from absgd.errors import UserError
from absgd.records import Verdict
from analysis.frames.run_frames import RunFrames
from analysis.questions.best_configurations import BY, best
from analysis.questions.cautions import cautions
from analysis.questions.class_results import recall_by_class, weights_by_group
from analysis.questions.control_comparison import On, compare, no_comparisons
from analysis.questions.landscape import landscape
from analysis.questions.learning_curves import curves
from analysis.questions.parameter_importance import Method, importance
from analysis.questions.search_savings import savings
from analysis.questions.tuned_controls import tuned_controls
from analysis.questions.verdicts import verdicts
from analysis.questions.winners import winner_and_control_trials


@dataclasses.dataclass(frozen=True)
class Runs(RunFrames):
    """Trials and epochs of run folders, under one selection rule, and the questions asked of them."""

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """`compare(control=None)`; empty if no scenario has a control."""
        try:
            return self.compare(control=None)
        except UserError:
            return no_comparisons()

    @cached_property
    def shown(self) -> pd.DataFrame:
        """Trials of winners and controls: see `analysis.questions.winners.winner_and_control_trials`."""
        return winner_and_control_trials(self)

    def best(self, by: str | Sequence[str] = BY) -> pd.DataFrame:
        """The best configuration of each group, chosen on validation.

        See `analysis.questions.best_configurations.best` for the columns.
        """
        return best(self, by)

    def compare(self, control: str | None = "ce", on: On = "auto") -> pd.DataFrame:
        """The best configuration of each scenario against a control.

        See `analysis.questions.control_comparison.compare` for the columns.
        """
        return compare(self, control, on)

    def tuned_controls(self) -> pd.DataFrame:
        """The search over the settings of each tuned control.

        See `analysis.questions.tuned_controls.tuned_controls` for the columns.
        """
        return tuned_controls(self)

    def verdicts(self) -> list[Verdict]:
        """The claim that the results of each scenario support, in sentences.

        See `analysis.questions.verdicts.verdicts`.
        """
        return verdicts(self, self.comparisons)

    def cautions(self) -> pd.DataFrame:
        """Reasons to doubt a choice.

        See `analysis.questions.cautions.cautions` for the columns.
        """
        return cautions(self)

    def importance(self, method: Method = "ped-anova") -> pd.DataFrame:
        """How much each searched parameter matters.

        See `analysis.questions.parameter_importance.importance` for the columns.
        """
        return importance(self, method)

    def curves(self, metric: str | None = None) -> pd.DataFrame:
        """Learning curves of all trials.

        See `analysis.questions.learning_curves.curves` for the columns.
        """
        return curves(self, metric)

    def landscape(self, x: str = "lam", y: str = "gamma") -> pd.DataFrame:
        """Scores of search trials over two parameters.

        See `analysis.questions.landscape.landscape` for the columns.
        """
        return landscape(self, x, y)

    def recall_by_class(self) -> pd.DataFrame:
        """Recall of each class, for winners and controls.

        See `analysis.questions.class_results.recall_by_class` for the columns.
        """
        return recall_by_class(self, self.shown)

    def attention_weights(self) -> pd.DataFrame:
        """Mean attention weights of winners over epochs.

        See `analysis.questions.class_results.weights_by_group` for the columns.
        """
        return weights_by_group(self, self.shown)

    def savings(self) -> pd.DataFrame:
        """Epochs that the trunk and early stopping saved.

        See `analysis.questions.search_savings.savings` for the columns.
        """
        return savings(self)

    def __repr__(self) -> str:
        """Return counts of trials, epochs, folders and problems, and the selection rule."""
        counts = {"trial": len(self.trials), "epoch": len(self.epochs), "run folder": len(self.folders)}
        count = ", ".join(plural(number, noun) for noun, number in counts.items())
        problems = f", {plural(len(self.problems), 'problem')} (see .problems)" if self.problems else ""
        return f"<Runs: {count}{problems}; selection rule: {self.rule.title}>"
