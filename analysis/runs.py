"""`Runs`: the frames that `load` returns, with every question asked of them as a method."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from absgd.class_priors import TAUS
from absgd.counts import plural
from absgd.errors import UserError
from absgd.records import Verdict
from absgd.terminal import warn
from analysis.frames.run_frames import RunFrames
from analysis.questions.best_configurations import BY, best
from analysis.questions.cautions import cautions
from analysis.questions.class_results import recall_by_class, weights_by_group
from analysis.questions.control_comparison import On, compare, no_comparisons
from analysis.questions.landscape import landscape
from analysis.questions.learning_curves import curves, own_curves
from analysis.questions.parameter_importance import Method, importance
from analysis.questions.pareto_front import pareto_front
from analysis.questions.prediction_frame import adjustment_frame, logits_of, prediction_frame
from analysis.questions.prediction_results import (
    PredictionOutcomes,
    calibration_frame,
    confusion_frame,
    image_differences,
    numbers_frame,
    prediction_outcomes,
)
from analysis.questions.search_savings import savings
from analysis.questions.tuned_controls import tuned_controls
from analysis.questions.verdicts import verdicts
from analysis.questions.winners import shown_trials


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
        """Trials of winners and controls: see `analysis.questions.winners.shown_trials`."""
        return shown_trials(self)

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
        return self._answer(tuned_controls)

    def verdicts(self) -> list[Verdict]:
        """The claim that the results of each scenario support, in sentences.

        See `analysis.questions.verdicts.verdicts`.
        """
        return verdicts(self, self.comparisons)

    def cautions(self) -> pd.DataFrame:
        """Reasons to doubt a choice.

        See `analysis.questions.cautions.cautions` for the columns.
        """
        unusable = {one.key: one.prediction_outcomes.problems for one in self.scenarios()}
        return cautions(self, unusable)

    def importance(self, method: Method = "ped-anova") -> pd.DataFrame:
        """The importance of each searched parameter.

        See `analysis.questions.parameter_importance.importance` for the columns.
        """
        return importance(self, method)

    def curves(self, metric: str | None = None) -> pd.DataFrame:
        """Learning curves of all trials.

        See `analysis.questions.learning_curves.curves` for the columns.
        """
        return curves(self, metric) if metric is not None else self._answer(own_curves)

    def pareto_front(self) -> pd.DataFrame:
        """The trials of a search for two metrics, and those that no other one beats in both.

        See `analysis.questions.pareto_front.pareto_front` for the columns.
        """
        return self._answer(pareto_front)

    def landscape(self, x: str = "lam", y: str = "gamma") -> pd.DataFrame:
        """Scores of search trials over two parameters.

        See `analysis.questions.landscape.landscape` for the columns.
        """
        return landscape(self, x, y)

    def recall_by_class(self) -> pd.DataFrame:
        """Recall of each class, for winners and controls.

        See `analysis.questions.class_results.recall_by_class` for the columns.
        """
        return self._answer(recall_by_class)

    def attention_weights(self) -> pd.DataFrame:
        """Mean attention weights of winners over epochs.

        See `analysis.questions.class_results.weights_by_group` for the columns.
        """
        return self._answer(weights_by_group)

    @cached_property
    def prediction_outcomes(self) -> PredictionOutcomes:
        """Kept predictions of one scenario's winner and controls, image by image; read once."""
        return prediction_outcomes(self, self.shown)

    def predictions(self, split: str | None = None) -> pd.DataFrame:
        """Kept predictions of all runs: one row per run and image.

        See `analysis.questions.prediction_frame.prediction_frame` for the columns.
        """
        return prediction_frame(self, split, warn)

    def logits(self, trial_id: str, split: str = "test", folder: str | None = None) -> npt.NDArray[np.float32]:
        """Logits of a run on a split, shape (N, C); the largest of each image is 0.

        See `analysis.questions.prediction_frame.logits_of`.
        """
        return logits_of(self, trial_id, split, folder)

    def prediction_numbers(self) -> pd.DataFrame:
        """Calibration error, log-likelihood, F1 and recalls of each run of winners and controls.

        See `analysis.questions.prediction_results.NUMBERS` for the columns.
        """
        return self._over_scenarios(lambda one: numbers_frame(one.prediction_outcomes))

    def calibration(self) -> pd.DataFrame:
        """Confidence and accuracy by bin of confidence, for winners and controls.

        See `analysis.questions.prediction_results.CALIBRATION` for the columns.
        """
        return self._over_scenarios(lambda one: calibration_frame(one.prediction_outcomes))

    def confusion(self) -> pd.DataFrame:
        """The share of each class that is taken for each other one, by winners and controls.

        See `analysis.questions.prediction_results.CONFUSION` for the columns.
        """
        return self._over_scenarios(lambda one: confusion_frame(one, one.prediction_outcomes))

    def image_differences(self, metric: str | None = None, seed: int = 0) -> pd.DataFrame:
        """Differences from each control with intervals over test images and seeds.

        See `analysis.questions.prediction_results.image_differences` for the columns.
        """
        return self._over_scenarios(lambda one: image_differences(one.prediction_outcomes, metric, seed))

    def posthoc_adjustment(self, taus: Sequence[float] = TAUS) -> pd.DataFrame:
        """Balanced accuracy of winners and controls before and after logit adjustment.

        See `analysis.questions.prediction_frame.adjustment_frame` for the columns.
        """
        return adjustment_frame(self, self.shown, taus, warn)

    def savings(self) -> pd.DataFrame:
        """Epochs that the trunk and early stopping saved.

        See `analysis.questions.search_savings.savings` for the columns.
        """
        return self._answer(savings)

    def _over_scenarios(self, question: Callable[[Runs], pd.DataFrame]) -> pd.DataFrame:
        """Stack what is found in each scenario."""
        frames = [question(one) for one in self.scenarios()]
        filled = [frame for frame in frames if not frame.empty] or frames[:1]
        return pd.concat(filled, ignore_index=True)

    def _answer(self, question: Callable[[Self], pd.DataFrame]) -> pd.DataFrame:
        """Return an answer that the caller may change."""
        return self.cut(question).copy(deep=False)

    def __repr__(self) -> str:
        """Return counts of trials, epochs, folders and problems, and the selection rule."""
        counts = {"trial": len(self.trials), "epoch": len(self.epochs), "run folder": len(self.folders)}
        count = ", ".join(plural(number, noun) for noun, number in counts.items())
        problems = f", {plural(len(self.problems), 'problem')} (see .problems)" if self.problems else ""
        return f"<Runs: {count}{problems}; selection rule: {self.rule.title}>"
