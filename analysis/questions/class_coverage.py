"""The number of classes that accuracies are over: those with an image in validation or test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from analysis.frames.run_frames import Row, RunFrames
from analysis.frames.typed_frames import KEY, SCENARIO
from analysis.questions.class_results import last_recall
from analysis.questions.winners import shown_trials


def class_coverage(epochs: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Return how many classes the accuracies of each trial are over.

    Args:
        epochs: as in `Runs.epochs`.
        trials: rows of `Runs.trials`.

    Returns:
        A frame with the index of `trials` and the columns `num_classes`, `val_classes` and `test_classes` (of which
        validation and test have images; missing where it is not recorded).
    """
    validation = last_recall(epochs, trials)
    frame = pd.DataFrame(
        {
            "num_classes": [len(sizes) if isinstance(sizes, list) else None for sizes in trials.class_counts],
            "val_classes": [_num_known(recall) for recall in validation],
            "test_classes": [_num_known(recall) for recall in trials.test_recall],
        },
        index=trials.index,
    )
    return frame.astype("Int64")


def _num_known(recall: object) -> int | None:
    return sum(value is not None and value == value for value in recall) if isinstance(recall, list) else None


def shown_coverage(runs: RunFrames) -> pd.DataFrame:
    """Return `class_coverage` of the trials of winners and controls, with `folder` and `scenario`."""
    shown = shown_trials(runs)[[*KEY, "scenario", "class_counts", "test_recall"]]
    return pd.concat([shown[SCENARIO], class_coverage(runs.epochs, shown)], axis=1)


def coverage_sentences(coverage: Sequence[Row]) -> Iterator[str]:
    """Yield a sentence for each part, validation and test, whose accuracies are not over all classes.

    Args:
        coverage: rows of `shown_coverage`.
    """
    for part, column in {"Validation": "val_classes", "Test": "test_classes"}.items():
        known = [(getattr(row, column), row.num_classes) for row in coverage]
        few = [(found, of) for found, of in known if not pd.isna(found) and not pd.isna(of) and found < of]
        numbers = [f"{found} of {of}" for found, of in few]
        if numbers:
            yield f"{part} accuracies are over {' or '.join(dict.fromkeys(numbers))} classes."
