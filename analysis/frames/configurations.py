"""Configurations with their mean scores over seeds."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd

from absgd.records import BEST_PREFIX, FINISHED
from analysis.frames.pair_gains import on_first_pair, pair_gains
from analysis.frames.typed_frames import SCENARIO

Basis = Literal["confirmed", "one seed"]
ENDED = tuple(status for status in FINISHED if status != "pruned")
"""Statuses of trials that ended without being stopped early."""
_MEASURED = ("score", "rank_score", "test", "test_second", "last_val_loss")
_READ = (*SCENARIO, "trial_id", "phase", "status", "candidate", "loss", "stage_one_key", *_MEASURED)


def configurations(scored: pd.DataFrame) -> pd.DataFrame:
    """Return every configuration with its mean scores over seeds.

    Runs of tuned controls are left out: the best of each is confirmed under a name of its own.

    Args:
        scored: `RunFrames.scored`.

    Returns:
        One row per configuration of a scenario: `folder`, `run`, `scenario`, `configuration` (its name in the
        confirmation; the trial id in the search, the name of the loss for a control of the search), `basis`
        (`confirmed`: on fresh seeds; `one seed`), `is_control`, `trial_id` (of its first trial), `metric`, `num_seeds`
        (planned trials: those of a confirmed control, which may leave early; else the largest number that any
        configuration with this basis in the scenario has), `num_ended`,
        `n` (completed trials, over which means are taken), `num_diverged`, `num_failed`, `is_whole` (whether all
        completed), `num_tested` (completed trials that read the test set); `val_mean`, `val_std`, `test_mean`,
        `test_std`, `test_second_mean`, `test_second_std` (at the other epoch; NaN unless all `n` were tested), all in
        units of the metric (std with n - 1, NaN for one seed); `rank_mean` (`val_mean` with its sign set so that larger
        is better), `loss_mean` (validation loss at the last epoch of completed trials, which breaks
        ties); of a search over several pairs of seeds `num_pairs`, `num_lost_pairs`, `gain_n`, `gain_mean`, `gain_std`
        and `rank_gain`, as in `pair_gains.pair_gains` (`num_pairs` is 1 for all others), while the numbers before are
        those of its first pair; and the settings of its first trial, from which the others differ in their seeds only.
    """
    is_one = on_first_pair(scored) & (scored.phase != "tuning")
    is_one &= scored.status.isin(ENDED) | ((scored.phase == "confirm") & scored.candidate.notna())
    frame = scored.loc[is_one, list(_READ)]  # all other columns are joined once, at the end
    frame = frame.assign(configuration=_names(frame), basis=_basis(frame), is_control=_is_control(frame))
    frame = frame.assign(is_diverged=frame.status == "diverged", is_failed=frame.status == "failed")
    frame = frame.assign(is_ended=frame.status.isin(ENDED), stage_one=_stage_one_of_controls(frame))
    frame = frame.assign(last_val_loss=frame.last_val_loss.where(frame.score.notna()))
    keys = [*SCENARIO, "phase", "configuration", "stage_one"]
    names = frame.loc[~frame.duplicated(keys), [*keys, "basis", "is_control"]]
    settings = scored.loc[names.index].drop(columns=[*keys, *_MEASURED], errors="ignore")
    whole = _means_over_seeds(frame, keys).join(pd.concat([settings, names], axis=1).set_index(keys)).reset_index()
    whole = _with_gains(whole, pair_gains(scored))
    most = whole.groupby([*SCENARIO, "basis"]).num_trials.transform("max")
    whole["num_seeds"] = whole.num_trials.where(whole.is_control & (whole.basis == "confirmed"), most)
    whole["is_whole"] = (whole.n == whole.num_seeds) & (whole.n > 0)
    return whole.drop(columns=["num_trials", "stage_one"])


def _means_over_seeds(trials: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return counts and means of the trials with the same `keys`, which become the index."""
    numbers = trials.groupby(keys, sort=False).agg(
        num_ended=("is_ended", "sum"),
        num_trials=("trial_id", "size"),
        n=("score", "count"),
        num_diverged=("is_diverged", "sum"),
        num_failed=("is_failed", "sum"),
        val_mean=("score", "mean"),
        val_std=("score", "std"),
        test_mean=("test", "mean"),
        test_std=("test", "std"),
        num_tested=("test", "count"),
        test_second_mean=("test_second", "mean"),
        test_second_std=("test_second", "std"),
        rank_mean=("rank_score", "mean"),
        loss_mean=("last_val_loss", "mean"),
    )
    tests = ["test_mean", "test_std", "test_second_mean", "test_second_std"]
    numbers[tests] = numbers[tests].where(numbers.num_tested == numbers.n)
    return numbers


def _with_gains(whole: pd.DataFrame, gains: pd.DataFrame) -> pd.DataFrame:
    """Add the gains over pairs to the rows of search trials."""
    keys = pd.MultiIndex.from_frame(whole[[*SCENARIO, "number"]])
    found = gains.reindex(keys).reset_index(drop=True).set_axis(whole.index)
    is_trial = whole.phase == "search"
    found = found.where(is_trial)
    counts = {"num_pairs": 1, "num_lost_pairs": 0, "gain_n": 0}
    found = found.assign(**{name: found[name].fillna(least).astype("int64") for name, least in counts.items()})
    return pd.concat([whole, found], axis=1)


def _names(frame: pd.DataFrame) -> pd.Series[Any]:
    names = frame.trial_id.where(frame.phase != "control", frame.loss.fillna("control"))
    return names.where(frame.phase != "confirm", frame.candidate)


def _stage_one_of_controls(frame: pd.DataFrame) -> pd.Series[Any]:
    """Return a key that joins controls of a search with the same stage one, seeds aside, into one configuration."""
    return frame.stage_one_key.astype(object).where(frame.phase == "control", "").fillna("")


def _basis(frame: pd.DataFrame) -> pd.Series[Any]:
    return (frame.phase == "confirm").map({True: "confirmed", False: "one seed"})


def _is_control(frame: pd.DataFrame) -> pd.Series[bool]:
    is_named = (frame.phase == "confirm") & ~frame.candidate.astype(str).str.startswith(BEST_PREFIX)
    return is_named | (frame.phase == "control")
