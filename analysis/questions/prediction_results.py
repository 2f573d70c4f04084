"""The kept predictions of winners and controls: their numbers, calibration, confusions, and differences by image."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from absgd.records import CALIBRATION_BINS, PREDICTED_SPLITS, PredictedSplit, test_metric_of
from analysis.frames.kept_predictions import class_counts_of, kept_predictions
from analysis.frames.run_frames import RunFrames
from analysis.frames.typed_frames import SCENARIO
from analysis.questions.image_bootstrap import IMAGE_METRICS, ImageMetric, resampled_difference
from analysis.questions.image_outcomes import Floats, ImageOutcomes, image_outcomes
from analysis.questions.prediction_numbers import (
    PredictionNumbers,
    calibration_sums,
    confusion_counts,
    prediction_numbers,
)
from analysis.questions.winners import SEEDS

_WHO = [*SCENARIO, "configuration", "is_control"]
NUMBERS = [*_WHO, "trial_id", *SEEDS, "split", "num_images", *PredictionNumbers._fields]
CALIBRATION = [*_WHO, "on", "n", "low", "high", "num_images", "confidence", "accuracy"]
CONFUSION = [*_WHO, "on", "n", "label", "label_name", "predicted", "predicted_name", "num_images", "share"]
DIFFERENCES = [*SCENARIO, "configuration", "control", "metric", "n", "num_images", "difference", "low", "high"]


@dataclasses.dataclass(frozen=True)
class RunOutcomes:
    """The outcomes of a winner's or control's run on each split that it kept."""

    trial: pd.Series[Any]
    """Its row of `winners.shown_trials`."""
    splits: dict[PredictedSplit, ImageOutcomes]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Its pair of seeds."""
        return tuple(int(self.trial[name]) for name in SEEDS)


@dataclasses.dataclass(frozen=True)
class PredictionOutcomes:
    """The outcomes of the winner and the controls of one scenario."""

    runs: tuple[RunOutcomes, ...]
    problems: tuple[str, ...]
    """Sentences about damaged files and runs without a file."""

    @property
    def on(self) -> PredictedSplit:
        """`test` if every run kept its predictions there, else `validation`."""
        return "test" if all("test" in run.splits for run in self.runs) else "validation"

    def of(self, configuration: str) -> list[RunOutcomes]:
        """Return the runs of a configuration or control that kept the split `on`."""
        return [run for run in self.runs if run.trial.configuration == configuration and self.on in run.splits]

    @property
    def configurations(self) -> list[str]:
        """Names of the configuration and the controls that have runs, in the order of the report."""
        return list(dict.fromkeys(str(run.trial.configuration) for run in self.runs if self.on in run.splits))


def prediction_outcomes(runs: RunFrames, shown: pd.DataFrame) -> PredictionOutcomes:
    """Read the kept predictions of one scenario's winner and controls.

    Args:
        runs: the runs of one scenario.
        shown: its rows of `winners.shown_trials`.
    """
    problems: list[str] = []
    found = [
        RunOutcomes(
            kept.trial,
            {split: image_outcomes(part.logits_NC, part.labels_N) for split, part in kept.splits.items()},
        )
        for kept in kept_predictions(runs, shown, problems.append)
    ]
    return PredictionOutcomes(tuple(found), tuple(problems))


def numbers_frame(outcomes: PredictionOutcomes) -> pd.DataFrame:
    """Return the numbers of each run on each split that it kept: the columns `NUMBERS`."""
    rows = [
        {
            **run.trial[[*_WHO, "trial_id", *SEEDS]],
            "split": split,
            "num_images": len(run.splits[split].labels_N),
            **prediction_numbers(run.splits[split], class_counts_of(run.trial))._asdict(),
        }
        for run in outcomes.runs
        for split in PREDICTED_SPLITS
        if split in run.splits
    ]
    return pd.DataFrame(rows, columns=NUMBERS)


def calibration_frame(outcomes: PredictionOutcomes) -> pd.DataFrame:
    """Return mean confidence and accuracy by bin of confidence, all runs together: the columns `CALIBRATION`."""
    frames = []
    for name in outcomes.configurations:
        own = outcomes.of(name)
        bins = [calibration_sums(run.splits[outcomes.on]) for run in own]
        images_K, correct_K, confidence_K = (np.sum(parts, axis=0) for parts in zip(*bins, strict=True))
        edges = np.arange(CALIBRATION_BINS + 1) / CALIBRATION_BINS
        table = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "num_images": images_K})
        with np.errstate(invalid="ignore"):
            table = table.assign(confidence=confidence_K / images_K, accuracy=correct_K / images_K)
        frames.append(table.assign(**own[0].trial[_WHO], on=outcomes.on, n=len(own))[CALIBRATION])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=CALIBRATION)


def confusion_frame(runs: RunFrames, outcomes: PredictionOutcomes) -> pd.DataFrame:
    """Return how often each class is taken for which, all runs together: the columns `CONFUSION`, no empty cells."""
    frames = []
    for name in outcomes.configurations:
        own = outcomes.of(name)
        counts_CC = sum(confusion_counts(run.splits[outcomes.on]) for run in own)
        assert isinstance(counts_CC, np.ndarray)
        label, predicted = np.nonzero(counts_CC)
        who = own[0].trial
        names = [runs.class_name(who.folder, who.scenario, place) for place in range(len(counts_CC))]
        table = pd.DataFrame({"label": label, "predicted": predicted, "num_images": counts_CC[label, predicted]})
        table = table.assign(
            label_name=[names[place] for place in label],
            predicted_name=[names[place] for place in predicted],
            share=table.num_images / counts_CC.sum(axis=1)[label],
        )
        frames.append(table.assign(**who[_WHO], on=outcomes.on, n=len(own))[CONFUSION])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=CONFUSION)


def image_differences(outcomes: PredictionOutcomes, metric: str | None = None, seed: int = 0) -> pd.DataFrame:
    """Return the winner's difference from each control on test, resampled over images and seeds.

    Args:
        outcomes: of one scenario.
        metric: one of `IMAGE_METRICS`; None: the test counterpart of the deciding metric, if it is one of them, else
            balanced accuracy.
        seed: of the draws.

    Returns:
        The columns `DIFFERENCES`: positive differences mean that the configuration is better, also for a loss.
    """
    rows = []
    names = outcomes.configurations if outcomes.on == "test" else []
    for control in names[1:]:
        ours = {run.seeds: run for run in outcomes.of(names[0])}
        pairs = [(ours[run.seeds], run) for run in outcomes.of(control) if run.seeds in ours]
        pairs = [pair for pair in pairs if _same_images(pairs[0][0], *pair)]
        if pairs:
            rows.append(_resampled(pairs, control, metric, seed))
    return pd.DataFrame(rows, columns=DIFFERENCES)


def _same_images(*runs: RunOutcomes) -> bool:
    first = runs[0].splits["test"].labels_N
    return all(np.array_equal(first, run.splits["test"].labels_N) for run in runs[1:])


def _resampled(
    pairs: Sequence[tuple[RunOutcomes, RunOutcomes]], control: str, metric: str | None, seed: int
) -> dict[str, Any]:
    trial = pairs[0][0].trial
    wanted = metric or test_metric_of(str(trial.metric)).removeprefix("test_")
    known: ImageMetric = next((one for one in IMAGE_METRICS if one == wanted), "balanced_accuracy")
    differences = np.stack([_goodness(ours, known) - _goodness(theirs, known) for ours, theirs in pairs])
    labels_N = pairs[0][0].splits["test"].labels_N
    found = resampled_difference(differences, labels_N, known, seed=seed)
    return {
        **trial[[*SCENARIO, "configuration"]],
        "control": control,
        "metric": known,
        "n": len(pairs),
        "num_images": len(labels_N),
        **found._asdict(),
    }


def _goodness(run: RunOutcomes, metric: ImageMetric) -> Floats:
    own = run.splits["test"]
    return -own.loss_N if metric == "loss" else own.is_correct().astype(np.float64)
