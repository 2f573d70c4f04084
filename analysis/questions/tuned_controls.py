"""The tuned controls of each scenario: over what each was tuned, at which cost, and which candidate to take home."""

from __future__ import annotations

from typing import Any

import pandas as pd

from absgd.records import best_of_all, is_best
from absgd.records.config_columns import COLUMN_OF, CONFIG_COLUMNS
from analysis.frames.run_frames import RunFrames
from analysis.frames.selection import sign_of
from analysis.frames.typed_frames import SCENARIO
from analysis.wording.number_text import setting_text
from analysis.wording.titles import control_titles, title_of_parameter

_COLUMNS = [
    *SCENARIO,
    "control",
    "num_tried",
    "num_completed",
    "num_stopped",
    "epochs",
    "metric",
    "val_best",
    "trial_id",
    "settings",
    "ranges",
]
_SEEDS = (COLUMN_OF["seeds.data"], COLUMN_OF["seeds.train"])


def tuned_controls(runs: RunFrames) -> pd.DataFrame:
    """Return the search over the settings of each tuned control.

    Returns:
        One row per control of a scenario, none where controls were not tuned: `folder`, `scenario`, `control` (its
        name in the confirmation), `num_tried` (configurations), `num_completed`, `num_stopped` (early), `epochs`
        (trained, those of trunks left out where the control's runs fork from them), `metric`, `val_best` (of the best
        completed one, at the last epoch on the first pair of seeds; NaN: none was completed), `trial_id` of it,
        `settings` (its values of what was tuned, as text) and `ranges` (the values tried, as text).
    """
    tried = runs.scored[runs.scored.phase.isin(["tuning", "control"]) & runs.scored.candidate.notna()]
    rows = [row for _, own in tried.groupby(SCENARIO, sort=False) for row in _of_scenario(own)]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _of_scenario(tried: pd.DataFrame) -> list[dict[str, Any]]:
    own = {str(name): rows for name, rows in tried.groupby("candidate", sort=False)}
    places = {name: place for place, name in enumerate(control_titles())}
    return [_row(name, own[name]) for name in sorted(own, key=lambda name: places.get(name, len(places)))]


def tuned_candidates(runs: RunFrames, tuned: pd.DataFrame) -> list[str]:
    """Return the names under which the tuned controls of one scenario are confirmed.

    One that is equal to a control with the configuration's settings is confirmed under that name; one that was not
    confirmed has its own.

    Args:
        runs: the runs of the scenario.
        tuned: their `tuned_controls`.
    """
    if tuned.trial_id.isna().all():
        return []
    trials = runs.scored
    confirmed = trials[(trials.phase == "confirm") & trials.candidate.notna()].drop_duplicates("candidate")
    settings = {str(row.candidate): _config_of(row) for _, row in confirmed.iterrows() if not is_best(row.candidate)}
    best = tuned.dropna(subset="trial_id").set_index("control").trial_id
    found = []
    for name, trial_id in best.items():
        ours = _config_of(trials[trials.trial_id == trial_id].iloc[0])
        equal = [candidate for candidate, theirs in settings.items() if theirs == ours]
        found.append(str(name) if name in settings or not equal else equal[0])
    return list(dict.fromkeys(found))


def _config_of(row: pd.Series[Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in CONFIG_COLUMNS if name not in _SEEDS)


def _row(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    first = rows.iloc[0]
    done = rows[(rows.status == "completed") & rows.rank_score.notna()]
    ranked = done.sort_values(["rank_score", "last_val_loss"], ascending=[False, True], kind="stable")
    best = None if ranked.empty else ranked.iloc[0]
    varied = [name for name in CONFIG_COLUMNS if name not in _SEEDS and len({str(value) for value in rows[name]}) > 1]
    return {
        **{key: first[key] for key in SCENARIO},
        "control": name,
        "num_tried": len(rows),
        "num_completed": len(done),
        "num_stopped": int((rows.status == "pruned").sum()),
        "epochs": int(rows.epochs_trained.sum()),
        "metric": first.metric,
        "val_best": float("nan") if best is None else float(best.score),
        "trial_id": None if best is None else best.trial_id,
        "settings": ""
        if best is None
        else ", ".join(f"{title_of_parameter(name)} {_text(best[name])}" for name in varied),
        "ranges": "; ".join(f"{title_of_parameter(name)} {_listed(rows[name])}" for name in varied),
    }


def _listed(values: pd.Series[Any]) -> str:
    return ", ".join(_text(value) for value in sorted(values.dropna().unique()))


def _text(value: Any) -> str:
    return setting_text(float(value)) if isinstance(value, float) else str(value)


def take_home(runs: RunFrames, winner: pd.Series[Any], findings: dict[str, Any]) -> str:
    """Return the name of the best candidate of all: the confirmed configuration, or a control.

    The rule is `absgd.records.best_of_all`, by which the search writes best/SCENARIO.yaml.

    Args:
        runs: the runs.
        winner: the confirmed configuration.
        findings: control -> finding about the configuration in comparison with it.
    """
    subject = str(winner.configuration)
    trials = runs.scored
    is_own = (trials.folder == winner.folder) & (trials.scenario == winner.scenario) & (trials.phase == "confirm")
    rows = trials[is_own & trials.candidate.notna()]
    controls = [str(name) for name in rows.candidate.unique() if not is_best(str(name))]
    done = rows[(rows.status == "completed") & rows.metric_last.notna()]
    sign = sign_of(winner.metric)
    scores = {
        str(name): dict(zip(own.pair.astype(int), sign * own.metric_last, strict=True))
        for name, own in done.groupby("candidate")
    }
    return best_of_all(subject, {name: findings.get(name) for name in controls}, scores)
