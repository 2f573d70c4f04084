"""`load`: run folders as `Runs`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from absgd import records
from absgd.counts import plural
from absgd.errors import UserError
from absgd.paths import PathLike
from analysis.frames.complaints import Complain
from analysis.frames.data_names import with_titles
from analysis.frames.loaded_folders import LoadedFolder, Problem, describe, expand, kind_of
from analysis.frames.option_columns import with_option_columns
from analysis.frames.ray_experiment import RayNames, read_experiment
from analysis.frames.ray_scales import Percent
from analysis.frames.run_tables import read_epochs, read_trials
from analysis.frames.selection import DEFAULT_RULE, RuleName, SelectionRule
from analysis.runs import Runs


def load(
    paths: PathLike | Iterable[PathLike],
    *,
    rule: RuleName = DEFAULT_RULE,
    last_k: int = 3,
    names: Mapping[str, str] | None = None,
    metric: str | None = None,
    percent: Percent = False,
) -> Runs:
    """Load run folders of absgd-tune or absgd-train, or experiment folders of a plain Ray Tune script.

    Reads only Parquet, YAML and JSON: nothing is unpickled, and neither torch nor Ray is imported. Intact parts are
    loaded; the others are listed in `Runs.problems`.

    Args:
        paths: a run folder, a glob such as ``runs/*``, a folder that holds run folders, or several of them.
        rule: selection rule: `last`, `mean_last_k` or `chosen` (`analysis.SelectionRule`).
        last_k: number of epochs of `mean_last_k`.
        names: Ray folders only: the script's name of a parameter or metric -> our column, such as
            ``{"top1": "val_accuracy", "val/acc": "val_accuracy"}``; those of nested ones are joined by ``/``. Common
            spellings are known.
        metric: Ray folders only: our name of the deciding metric; default: the first known one that the trials report.
        percent: Ray folders only: whether accuracies are in percent, or our columns of those that are. A folder with
            accuracies above 1 is refused without it.

    Returns:
        The runs.

    Raises:
        UserError: if a path does not exist, or no folder holds an intact trial.
    """
    selection = SelectionRule(rule, last_k)
    told = RayNames(names or {}, metric, percent)
    problems: list[Problem] = []
    folders, trials, epochs = [], [], []
    for path in expand(paths):
        found = _load_one(path, problems, told)
        if found is not None:
            folder, own_trials, own_epochs = found
            folders.append(folder)
            trials.append(own_trials)
            epochs.append(own_epochs)
    if not folders:
        raise UserError("\n".join(["nothing to load:", *map(str, problems)]))
    return Runs(_stacked(trials), _stacked(epochs), tuple(folders), tuple(problems), selection)


def _load_one(
    path: Path, problems: list[Problem], told: RayNames
) -> tuple[LoadedFolder, pd.DataFrame, pd.DataFrame] | None:
    def complain(text: str) -> None:
        problems.append(Problem(str(path), text))

    kind = kind_of(path)
    if kind is None:
        is_trial = (path / "result.json").is_file() or (path / "params.json").is_file()
        other = "neither trials.parquet nor trials of Ray Tune (params.json, result.json)"
        complain(f"not a run folder: {'one trial of Ray Tune: give the folder that holds it' if is_trial else other}")
        return None
    frames = read_experiment(path, told, complain) if kind == "ray" else _read_tables(path, complain)
    if frames is None:
        return None
    trials, epochs = frames
    if trials.empty:
        complain("no intact trial yet")
        return None
    trials = with_option_columns(with_titles(trials), complain)
    trials.insert(0, "folder", str(path))
    epochs.insert(0, "folder", str(path))
    unfinished = trials.status.isin(("running", "interrupted")).sum()
    if unfinished:
        complain(f"the run is not finished: {unfinished} of {plural(len(trials), 'trial')} running or interrupted")
    return describe(path, kind, complain), trials, epochs


def _read_tables(path: Path, complain: Complain) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    trials = read_trials(path / records.TRIALS_FILE, complain)
    return None if trials is None else read_epochs(path / records.EPOCHS_FILE, trials, complain)


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Stack frames; columns that only some have (parameters of Ray scripts) are missing in the others."""
    if len(frames) == 1:
        return frames[0]
    filled = [frame for frame in frames if not frame.empty] or frames[:1]
    columns = list(dict.fromkeys(name for frame in frames for name in frame.columns))
    typed = {name: kind for frame in reversed(frames) for name, kind in frame.dtypes.items()}
    whole = [frame.reindex(columns=columns).astype({name: typed[name] for name in columns}) for frame in filled]
    return pd.concat(whole, ignore_index=True)
