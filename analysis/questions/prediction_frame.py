"""All kept predictions as one frame, the logits of one run, and post-hoc logit adjustment of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from absgd.class_priors import adjusted_logits, best_tau
from absgd.errors import UserError, nearest, shown
from absgd.records import PREDICTED_SPLITS, SplitPredictions
from analysis.frames.complaints import Complain
from analysis.frames.kept_predictions import (
    KeptPredictions,
    class_counts_of,
    file_of,
    kept_predictions,
    trial_of,
    trusted_predictions,
)
from analysis.frames.run_frames import RunFrames
from analysis.frames.typed_frames import SCENARIO
from analysis.questions.image_outcomes import image_outcomes
from analysis.questions.prediction_numbers import prediction_numbers
from analysis.questions.winners import SEEDS

ADJUSTMENT = [
    *SCENARIO,
    "configuration",
    "is_control",
    "trial_id",
    *SEEDS,
    "tau",
    "val_before",
    "val_after",
    "test_before",
    "test_after",
]
_IMAGE = ["split", "index", "label", "changed", "prediction", "probability", "label_probability"]
FRAME = [*SCENARIO, "candidate", "trial_id", *_IMAGE]


def prediction_frame(runs: RunFrames, split: str | None, complain: Complain) -> pd.DataFrame:
    """Return one row per run and image, of all runs that kept predictions.

    Args:
        runs: the runs.
        split: `validation` or `test`; None: both.
        complain: takes sentences about files that are left out.

    Raises:
        UserError: if there is no such split.
    """
    wanted = PREDICTED_SPLITS if split is None else (_checked_split(split),)
    frames = [
        _image_rows(kept, name, part)
        for kept in kept_predictions(runs, runs.trials, complain)
        for name, part in kept.splits.items()
        if name in wanted
    ]
    if not frames:
        return pd.DataFrame(columns=FRAME)
    frame = pd.concat(frames, ignore_index=True)
    return frame.astype(dict.fromkeys([*SCENARIO, "candidate", "trial_id", "split"], "category"))


def _image_rows(kept: KeptPredictions, split: str, part: SplitPredictions) -> pd.DataFrame:
    found = image_outcomes(part.logits_NC, part.labels_N)
    rows = pd.DataFrame(
        {
            "split": split,
            "index": np.arange(len(part.labels_N)),
            "label": part.labels_N,
            "changed": part.changed_N,
            "prediction": found.predicted_N,
            "probability": found.confidence_N,
            "label_probability": np.exp(-found.loss_N),
        }
    )
    return rows.assign(**kept.trial[[*SCENARIO, "candidate", "trial_id"]])[FRAME]


def logits_of(runs: RunFrames, trial_id: str, split: str, folder: str | None) -> npt.NDArray[np.float32]:
    """Return the logits of a run on a split, shape (N, C), the images in order.

    Raises:
        UserError: if there is no such run or split, or the run kept none, or they cannot be used.
    """
    name = _checked_split(split)
    trial = trial_of(runs, trial_id, folder)
    file = file_of(runs, trial)
    if file is None or not file.is_file():
        raise UserError(f"expected a run that kept its predictions, got {shown(trial_id)}: there is no {file}")
    try:
        splits = trusted_predictions(file, trial)
    except UserError as error:
        raise UserError(f"cannot read {file}: {error}") from None
    if name not in splits:
        raise UserError(f"expected a run that kept its predictions on {name}, got {shown(trial_id)}")
    return splits[name].logits_NC.astype(np.float32)


def _checked_split(split: str) -> Any:
    if split not in PREDICTED_SPLITS:
        valid = " or ".join(f"`{name}`" for name in PREDICTED_SPLITS)
        raise UserError(f"expected {valid}, got {shown(split)}{nearest(split, PREDICTED_SPLITS)} (split)")
    return split


def adjustment_frame(runs: RunFrames, trials: pd.DataFrame, taus: Sequence[float], complain: Complain) -> pd.DataFrame:
    """Return what post-hoc logit adjustment does to the balanced accuracy of each run.

    Each run's tau is the one with the best balanced accuracy on its validation images, the smaller of two. Runs that
    were trained with `loss.posthoc_tau` are adjusted already and left out, as are runs without predictions on
    validation.

    Args:
        runs: the runs.
        trials: rows of `winners.shown_trials`.
        taus: strengths to choose from.
        complain: takes sentences about files that are left out, and about classes without a training image.

    Returns:
        The columns `ADJUSTMENT`; `test_before` and `test_after` are missing where test was not kept.
    """
    rows = []
    for kept in kept_predictions(runs, trials, complain):
        counts = class_counts_of(kept.trial)
        if "validation" not in kept.splits or kept.trial.get("posthoc_tau", 0.0) > 0 or not counts:
            continue
        if min(counts) < 1:
            complain(f"{kept.trial.trial_id} is not adjusted post hoc: a class has no training image.")
            continue
        val = kept.splits["validation"]
        tau = best_tau(val.logits_NC, val.labels_N, counts, _balanced, taus)
        test = kept.splits.get("test")
        rows.append(
            {
                **kept.trial[[name for name in ADJUSTMENT if name in kept.trial]],
                "tau": tau,
                "val_before": _balanced(val.logits_NC, val.labels_N),
                "val_after": _adjusted(val, counts, tau),
                "test_before": _balanced(test.logits_NC, test.labels_N) if test else np.nan,
                "test_after": _adjusted(test, counts, tau) if test else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=ADJUSTMENT)


def _adjusted(part: SplitPredictions, class_counts: Sequence[int], tau: float) -> float:
    return _balanced(adjusted_logits(part.logits_NC, class_counts, tau), part.labels_N)


def _balanced(logits_NC: npt.NDArray[np.floating], labels_N: npt.NDArray[np.integer]) -> float:
    return prediction_numbers(image_outcomes(logits_NC, labels_N.astype(np.int64)), []).balanced_accuracy
