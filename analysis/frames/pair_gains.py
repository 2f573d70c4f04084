"""The gains of search trials over the plain controls of their seed pairs, by which a search over pairs chose."""

from __future__ import annotations

import pandas as pd

from absgd.records import FINISHED, control_id
from analysis.frames.typed_frames import SCENARIO

ROUNDING = 9
"""Decimals of a mean that ranks, so that means that differ by rounding are equal; as in the search."""


def pair_gains(scored: pd.DataFrame) -> pd.DataFrame:
    """Return the score of each search trial over the pairs of seeds on which it was trained.

    A pair's gain is the score minus that of the pair's plain control, with its sign set so that larger is better. On a
    pair whose control has no score, trials are ranked by their gain over the mean of all trials there.

    Args:
        scored: `RunFrames.scored`.

    Returns:
        One row per completed trial of a search, with the keys `folder`, `scenario` and `number` as its index:
        `num_pairs` (on which it ended), `num_lost_pairs` (on which it ended without a score), `gain_n` (pairs with
        a gain), `gain_mean`, `gain_std` (n - 1), `rank_gain` (what ranks trials of equally many pairs).
    """
    keys = [*SCENARIO, "number"]
    is_run = scored.phase.isin(("search", "replicate")) & scored.number.notna() & scored.pair.notna()
    own = scored[is_run & scored.status.isin(FINISHED)].drop_duplicates([*keys, "pair"])
    plain = _control_scores(scored)
    own = own.merge(plain, on=[*SCENARIO, "pair"], how="left")
    mean = own.groupby([*SCENARIO, "pair"]).rank_score.transform("mean")
    own = own.assign(
        gain=own.rank_score - own.control_score,
        compared=own.rank_score - own.control_score.fillna(mean),
        is_lost=own.status.isin(("diverged", "failed")),
    )
    done = own[(own.pair == 0) & own.score.notna()].set_index(keys).index
    groups = own.set_index(keys).loc[lambda frame: frame.index.isin(done)].groupby(level=keys, sort=False)
    found = groups.agg(
        num_pairs=("pair", "size"),
        num_lost_pairs=("is_lost", "sum"),
        gain_n=("gain", "count"),
        gain_mean=("gain", "mean"),
        gain_std=("gain", "std"),
        rank_gain=("compared", "mean"),
    )
    return found.assign(rank_gain=found.rank_gain.round(ROUNDING))


def _control_scores(scored: pd.DataFrame) -> pd.DataFrame:
    """Return the score of the scenario's own plain control on each pair."""
    controls = scored[(scored.phase == "control") & scored.pair.notna() & scored.score.notna()]
    names = zip(controls.trial_id, controls.scenario, controls.pair, strict=True)
    is_own = [trial_id == control_id(str(scenario), pair=int(pair)) for trial_id, scenario, pair in names]
    found = controls.loc[is_own].drop_duplicates([*SCENARIO, "pair"])
    return found[[*SCENARIO, "pair", "rank_score"]].rename(columns={"rank_score": "control_score"})


def on_first_pair(frame: pd.DataFrame) -> pd.Series[bool]:
    """Whether trials are none of a search on a further pair; those of a confirmation are kept."""
    return (frame.phase != "replicate") & ~((frame.phase == "control") & (frame.pair.fillna(0) > 0))
