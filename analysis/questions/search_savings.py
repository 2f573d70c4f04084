"""Epochs that sharing stage one and early stopping saved."""

from __future__ import annotations

import pandas as pd

from analysis.frames.run_frames import RunFrames
from analysis.frames.typed_frames import SCENARIO


def savings(runs: RunFrames) -> pd.DataFrame:
    """Return the epochs that each search trained, and those it would have trained without sharing and stopping.

    Returns:
        One row per scenario with a search: `folder`, `run`, `scenario`, `num_trials` (search trials and controls, those
        on further pairs too), `epochs_from_scratch` (of all of them, each to its last epoch), `epochs_saved_by_trunk`
        (inherited), `epochs_saved_by_stopping` (left untrained by trials that were stopped), `epochs_lost` (left
        untrained by trials that diverged, failed or were interrupted), `epochs_trained`, `times_fewer` (from scratch
        over trained).
    """
    own = runs.trials[runs.trials.phase.isin(("search", "replicate", "control")) & runs.trials.epochs.notna()]
    trained, inherited = own.epochs_trained.fillna(0), own.epochs_inherited.fillna(0)
    rest = (own.epochs - trained - inherited).clip(lower=0)
    frame = own.assign(
        epochs_trained=trained,
        epochs_saved_by_trunk=inherited,
        epochs_saved_by_stopping=rest.where(own.status == "pruned", 0),
        epochs_lost=rest.where(own.status != "pruned", 0),
        epochs_from_scratch=own.epochs,
        num_trials=1,
    )
    names = [
        "num_trials",
        "epochs_from_scratch",
        "epochs_saved_by_trunk",
        "epochs_saved_by_stopping",
        "epochs_lost",
        "epochs_trained",
    ]
    sums = frame.groupby([*SCENARIO, "run"], sort=False)[names].sum().astype("int64").reset_index()
    searched = runs.trials[runs.trials.phase == "search"][SCENARIO].drop_duplicates()
    found = sums.merge(searched, on=SCENARIO)
    times = found.epochs_from_scratch / found.epochs_trained.where(found.epochs_trained > 0)
    return found.assign(times_fewer=times.astype("float64"))
