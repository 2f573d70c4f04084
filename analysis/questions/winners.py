"""The winner of each scenario, its controls, and their trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from absgd.records import winning_order
from analysis.frames.pair_gains import on_first_pair
from analysis.frames.run_frames import RunFrames
from analysis.frames.typed_frames import SCENARIO
from analysis.wording.titles import control_titles

SEEDS = ["seed_data", "seed_train"]
"""Columns that identify a pair of seeds."""
_RANKED_BY = ["basis", "num_pairs", "num_seeds", "n", "num_lost_pairs", "rank_mean", "rank_gain", "loss_mean"]


def best_rows(configurations: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return the row of `configurations` with the best mean on validation in each group.

    If a group has confirmed configurations, only they can win, in the order of `absgd.records.winning_order`, as in
    the best file of a scenario. Of a search over several pairs of seeds those on the most pairs come first, and their
    mean gain decides.
    """
    able = configurations[[*by, *_RANKED_BY]]  # rows of all columns are copied once, at the end
    able = able[~configurations.is_control & (configurations.n > 0)]
    has_pairs = able.num_pairs > 1
    lost = (able.num_seeds - able.n).where(~has_pairs, able.num_lost_pairs)
    gains = able.rank_mean.where(~has_pairs, able.rank_gain)
    numbers = zip(able.basis, able.num_pairs, lost, gains, able.loss_mean, strict=True)
    order = [
        (basis != "confirmed", -num_pairs, *winning_order(num_lost, gain, val_loss, place))
        for place, (basis, num_pairs, num_lost, gain, val_loss) in enumerate(numbers)
    ]
    ranked = able.iloc[[row[-1] for row in sorted(order)]]
    return configurations.loc[ranked.drop_duplicates(list(by)).index.sort_values()]


def control_names(configurations: pd.DataFrame) -> list[str]:
    """Return the names of controls with a score, the known ones first, in the order of their titles."""
    is_scored = configurations.is_control & (configurations.n > 0)
    there = configurations.configuration[is_scored].unique().tolist()
    known = [name for name in control_titles() if name in there]
    return known + [name for name in there if name not in known]


def controls_of(configurations: pd.DataFrame, winner: pd.Series[Any]) -> list[str]:
    """Return the names of the controls that have the basis and the scenario of a winner."""
    narrow = configurations[["configuration", "is_control", "n"]]
    is_own = (configurations.folder == winner.folder) & (configurations.scenario == winner.scenario)
    return control_names(narrow[is_own & (configurations.basis == winner.basis)])


def trials_of(runs: RunFrames, winner: pd.Series[Any], control: str | None = None) -> pd.DataFrame:
    """Return the completed trials of a configuration, or of one of its controls: one per pair of seeds."""
    own = runs.completed
    own = own[(own.folder == winner.folder) & (own.scenario == winner.scenario)]
    if winner.basis == "confirmed":
        name = control or winner.configuration
        is_meant = (own.phase == "confirm") & (own.candidate == name)
    elif control is None:
        is_meant = own.trial_id == winner.trial_id
    else:
        is_plain = (own.phase == "control") & on_first_pair(own) & (own.loss.fillna("control") == control)
        is_same = is_plain & (own.stage_one_key == winner.stage_one_key)
        is_meant = is_same if is_same.any() else is_plain
    first: pd.DataFrame = own.loc[is_meant, SEEDS].drop_duplicates()
    return runs.scored.loc[first.index]


def winner_and_control_trials(runs: RunFrames) -> pd.DataFrame:
    """Return the completed trials of each scenario's winner and of every control with its basis.

    Returns:
        Rows of `RunFrames.scored` with `configuration`, `is_control` and `order` (0 for the winner, then the controls).
    """
    configurations = runs.configurations
    parts = []
    for _, winner in best_rows(configurations, SCENARIO).iterrows():
        parts.append(trials_of(runs, winner).assign(configuration=str(winner.configuration), is_control=False, order=0))
        for order, name in enumerate(controls_of(configurations, winner), start=1):
            parts.append(trials_of(runs, winner, name).assign(configuration=name, is_control=True, order=order))
    if not parts:
        return runs.scored.head(0).assign(configuration="", is_control=False, order=0)
    return pd.concat(parts, ignore_index=True)
