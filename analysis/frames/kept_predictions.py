"""The predictions that run folders keep: one file per run, read one at a time; those left out are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from absgd.counts import plural
from absgd.errors import UserError, shown
from absgd.records import PredictedSplit, SplitPredictions, predictions_file
from analysis.frames.complaints import Complain
from analysis.frames.prediction_files import read_predictions
from analysis.frames.run_frames import RunFrames

MOST_NAMED = 3
"""Runs without predictions that a sentence names."""
_FILED_BY = ["folder", "trial_id", "phase", "status", "test_accuracy"]
"""Columns of a trial that say where its predictions are, and whether they must be there."""
FEWEST_DIFFERENT, LARGEST_DIFFERENCE = 2, 0.001
"""Images, and share of them, on which the accuracy of a file may differ from the recorded one, for ties in float16."""


class KeptPredictions(NamedTuple):
    """A run and its predictions."""

    trial: pd.Series[Any]
    """Its row of `Runs.trials`, with the columns that were added to it."""
    splits: Mapping[PredictedSplit, SplitPredictions]


def kept_predictions(runs: RunFrames, trials: pd.DataFrame, complain: Complain) -> Iterator[KeptPredictions]:
    """Yield the predictions of those trials that have any; name damaged files and runs whose file is gone.

    Args:
        runs: has the folders.
        trials: rows of `runs.trials`.
        complain: takes a sentence about each file that is left out, and one about all that are missing.
    """
    missing = []
    for place, trial in enumerate(trials[_FILED_BY].itertuples()):
        file = file_of(runs, trial)
        if file is None or not file.is_file():
            missing += [str(trial.trial_id)] if file is not None and _is_expected(runs, trial) else []
            continue
        try:
            whole = trials.iloc[place]
            yield KeptPredictions(whole, trusted_predictions(file, whole))
        except UserError as error:
            complain(f"{file.parent.name}/{file.name} is left out: {error}.")
    if missing:
        named = ", ".join(missing[:MOST_NAMED]) + (", ..." if len(missing) > MOST_NAMED else "")
        complain(f"{plural(len(missing), 'run')} of {len(trials)} kept no predictions: {named}.")


def file_of(runs: RunFrames, trial: Any) -> Path | None:
    """Return the file of a trial's predictions, which may be absent; None where there can be none."""
    name = str(trial.trial_id)
    folder = next((one for one in runs.folders if one.name == trial.folder), None)
    is_plain = name == Path(name).name and "\0" not in name  # an id is text from a file: it leads to no other folder
    if folder is None or folder.kind != "absgd" or not is_plain:
        return None
    return predictions_file(folder.path, name)


def class_counts_of(trial: pd.Series[Any]) -> list[int]:
    """Return the training images of each class; empty where they are not recorded."""
    counts = list(trial.class_counts) if pd.api.types.is_list_like(trial.class_counts) else []
    return [] if any(pd.isna(count) for count in counts) else [int(count) for count in counts]


def _is_expected(runs: RunFrames, trial: Any) -> bool:
    """Whether the search asked for a trial's predictions; spaces of earlier versions do not say it."""
    confirm = runs.space_of(trial.folder).get("confirm")
    is_asked = isinstance(confirm, Mapping) and confirm.get("predictions") is True
    return is_asked and trial.phase == "confirm" and trial.status == "completed" and not pd.isna(trial.test_accuracy)


def trusted_predictions(file: Path, trial: pd.Series[Any]) -> Mapping[PredictedSplit, SplitPredictions]:
    """Return the predictions in a trial's file.

    Raises:
        UserError: naming what is wrong with the file, or that it belongs to another run.
    """
    splits = read_predictions(file, len(class_counts_of(trial)) or None)
    test = splits.get("test")
    if test is not None and not pd.isna(trial.test_accuracy):
        accuracy, num_images = float((test.logits_NC.argmax(axis=1) == test.labels_N).mean()), len(test.labels_N)
        if abs(accuracy - trial.test_accuracy) > max(FEWEST_DIFFERENT / num_images, LARGEST_DIFFERENCE):
            raise UserError(f"its accuracy on test is {accuracy:.4f}, and that of the run is {trial.test_accuracy:.4f}")
    return splits


def trial_of(runs: RunFrames, trial_id: str, folder: str | None) -> pd.Series[Any]:
    """Return the row of a trial.

    Raises:
        UserError: if there is none, or several folders have one of that id.
    """
    own = runs.trials[runs.trials.trial_id == trial_id]
    own = own if folder is None else own[own.folder == str(folder)]
    if len(own) != 1:
        hint = "; give `folder` too" if len(own) else ""
        raise UserError(f"expected the `trial_id` of one run, got {shown(trial_id)}, which {len(own)} have{hint}")
    return own.iloc[0]
