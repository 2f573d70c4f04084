"""The winner of each scenario, its controls, and their trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from absgd.records import winning_order
from analysis.frames.pair_gains import on_first_pair
from analysis.frames.run_frames import RunFrames, rows_at
from analysis.frames.typed_frames import SCENARIO
from analysis.wording.titles import control_titles

SEEDS = ["seed_data", "seed_train"]
"""Columns that identify a pair of seeds."""
_CONTROL = ["configuration", "is_control", "n"]
_CONFIRMED = [
    *SCENARIO,
    *_CONTROL,
    "num_seeds",
    "num_ended",
    "num_tested",
    "is_whole",
    "lr",
    "class_balance_from_epoch",
    "test_mean",
    "rank_mean",
]
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
    narrow = configurations[_CONTROL]
    is_own = (configurations.folder == winner.folder) & (configurations.scenario == winner.scenario)
    return control_names(narrow[is_own & (configurations.basis == winner.basis)])


def winners_of(runs: RunFrames) -> pd.DataFrame:
    """Return the winner of each scenario: its row of `RunFrames.configurations`."""
    return runs.cut(_winners)


def winner_of(runs: RunFrames) -> pd.Series[Any] | None:
    """Return the winner of one scenario; None if nothing finished."""
    return runs.first(_winners)


def _winners(runs: RunFrames) -> pd.DataFrame:
    return best_rows(runs.configurations, SCENARIO)


def confirmed_configurations(runs: RunFrames) -> pd.DataFrame:
    """Return the rows of `RunFrames.configurations` with fresh seeds, and the columns that claims are made from."""
    return runs.configurations.loc[runs.configurations.basis == "confirmed", _CONFIRMED]


def search_winners(runs: RunFrames) -> pd.DataFrame:
    """Return the best trial of each search, whatever a confirmation found: its row of `RunFrames.configurations`."""
    return best_rows(runs.configurations[runs.configurations.basis == "one seed"], SCENARIO)


def shown_trials(runs: RunFrames) -> pd.DataFrame:
    """Return the completed trials of each scenario's winner and of every control with its basis: one per pair of seeds.

    Returns:
        Rows of `RunFrames.scored` with `configuration`, `is_control` and `order` (0 for the winner, then the controls).
    """
    return runs.cut(_shown_trials)


def shown_seeds(runs: RunFrames) -> pd.DataFrame:
    """Return the seeds of `shown_trials`, with `order`."""
    return shown_trials(runs)[[*SCENARIO, "order", *SEEDS]]


def trials_of(runs: RunFrames, winner: pd.Series[Any], control: str | None = None) -> pd.DataFrame:
    """Return the rows of `shown_trials` of a scenario's winner, or of one of its controls."""
    shown = shown_trials(runs)
    is_meant = shown.order == 0 if control is None else shown.is_control & (shown.configuration == control)
    is_meant &= (shown.folder == winner.folder) & (shown.scenario == winner.scenario)
    return rows_at(shown, is_meant.to_numpy().nonzero()[0])


def _shown_trials(runs: RunFrames) -> pd.DataFrame:
    able, completed = runs.configurations[[*SCENARIO, "basis", *_CONTROL]], runs.completed
    places = able.groupby([*SCENARIO, "basis"], sort=False).indices
    own = completed.groupby(SCENARIO, sort=False).indices
    confirmed = _confirmed(completed)
    labels: list[int] = []
    shown: list[tuple[str, bool, int]] = []
    for _, winner in winners_of(runs).iterrows():
        key = (winner.folder, winner.scenario)
        names = control_names(able.iloc[places[*key, winner.basis]])
        for order, name in enumerate([None, *names]):
            if winner.basis == "confirmed":
                found = confirmed.get((*key, name or winner.configuration), [])
            else:
                found = _of_search(completed.iloc[own[key]], winner, name)
            labels += found
            shown += [(name or str(winner.configuration), order > 0, order)] * len(found)
    columns = pd.DataFrame(shown, columns=["configuration", "is_control", "order"])
    columns = columns.astype({"configuration": "str", "is_control": "bool", "order": "int64"})
    return pd.concat([runs.scored.loc[labels].reset_index(drop=True), columns], axis=1)


def _confirmed(completed: pd.DataFrame) -> dict[tuple[str, str, str], list[int]]:
    """Return the labels of the confirmed trials of each candidate of a scenario, one per pair of seeds."""
    keys = [*SCENARIO, "candidate"]
    rows = completed[completed.phase == "confirm"].drop_duplicates([*keys, *SEEDS])
    found: dict[tuple[str, str, str], list[int]] = {}
    for label, *key in rows[keys].itertuples(name=None):
        found.setdefault((key[0], key[1], key[2]), []).append(label)
    return found


def _of_search(own: pd.DataFrame, winner: pd.Series[Any], control: str | None) -> list[int]:
    """Return the labels of the search's own trials of its best configuration, or of a control."""
    if control is None:
        is_meant = own.trial_id == winner.trial_id
    else:
        is_plain = (own.phase == "control") & on_first_pair(own) & (own.loss.fillna("control") == control)
        is_same = is_plain & (own.stage_one_key == winner.stage_one_key)
        is_meant = is_same if is_same.any() else is_plain
    first: list[int] = own.loc[is_meant, SEEDS].drop_duplicates().index.tolist()
    return first
