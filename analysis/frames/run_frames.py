"""The frames of one or many run folders, under one selection rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pandas as pd

from absgd.errors import UserError
from analysis.frames.configurations import configurations
from analysis.frames.confirmation_looks import RivalRows
from analysis.frames.data_names import published_name
from analysis.frames.loaded_folders import LoadedFolder, Problem
from analysis.frames.searched_parameters import SearchedParameter, searched_parameters
from analysis.frames.selection import DEFAULT_RULE, RuleName, SelectionRule, with_scores
from analysis.frames.typed_frames import KEY, SCENARIO

_IDENTITY = (*SCENARIO, "trial_id", "phase", "candidate", "loss", "pair", "stage_one_key", "seed_data", "seed_train")


@dataclasses.dataclass(frozen=True)
class RunFrames:
    """Trials and epochs of run folders, under one selection rule."""

    trials: pd.DataFrame
    """One row per trial: `folder`, then the columns of trials.parquet (docs/results.md)."""
    epochs: pd.DataFrame
    """One row per trial and epoch: `folder`, then the columns of epochs.parquet (docs/results.md)."""
    folders: tuple[LoadedFolder, ...] = ()
    """The folders they were read from, with space.yaml and environment.json."""
    problems: tuple[Problem, ...] = ()
    """Damaged, missing and unfinished parts of the folders; damaged ones are not in the frames."""
    rule: SelectionRule = dataclasses.field(default_factory=SelectionRule)
    """Rule that reads scores off curves; printed in every table."""
    whole: Self | None = dataclasses.field(default=None, repr=False, compare=False)
    """The runs that these are one scenario of, among others; see `cut`."""

    def using(self, rule: RuleName = DEFAULT_RULE, last_k: int = 3) -> Self:
        """Return the same runs under another selection rule."""
        return dataclasses.replace(self, rule=SelectionRule(rule, last_k), whole=None)

    def where(self, **values: object) -> Self:
        """Return the runs restricted to trials with these values: ``runs.where(dataset="digits")``.

        Raises:
            UserError: if there is no such column, or no such trial.
        """
        keep = pd.Series(True, index=self.trials.index)
        for name, value in values.items():
            if name not in self.trials.columns:
                raise UserError(f"no column `{name}` to choose by")
            keep &= self.trials[name].map(lambda own, wanted=value: _equal(own, wanted))
        if not keep.any():
            raise UserError(f"no trial with {', '.join(f'{name} = {value!r}' for name, value in values.items())}")
        trials = self.trials[keep].reset_index(drop=True)
        wanted = pd.MultiIndex.from_frame(trials[["folder", "trial_id"]])
        own = pd.MultiIndex.from_frame(self.epochs[["folder", "trial_id"]]).isin(wanted)
        folders = tuple(folder for folder in self.folders if folder.name in set(trials.folder))
        epochs = self.epochs[own].reset_index(drop=True)
        return dataclasses.replace(self, trials=trials, epochs=epochs, folders=folders, whole=None)

    def scenarios(self) -> Iterator[Self]:
        """Yield the runs of one scenario of one folder at a time, in order."""
        yield from self._scenarios

    def cut(self, question: Callable[..., pd.DataFrame], *arguments: str) -> pd.DataFrame:
        """Return the answer to a question about these runs, which is not to be changed.

        That of one scenario among several is cut from the answer for all of them, which is worked out once: pandas
        takes about as long for a frame of one scenario as for one of a hundred.

        Args:
            question: a function of runs whose frame has the columns `folder` and `scenario`, and for each scenario the
                rows that it has for that scenario alone, in the same order.
            arguments: further arguments of the function.
        """
        return self._answers.to(question, *arguments).frame

    def rows(self, question: Callable[..., pd.DataFrame], *arguments: str) -> Sequence[Row]:
        """Return the rows of `cut`, with plain values: a loop over them is faster than any operation of pandas."""
        if self.whole is None:
            return self._answers.to(question, *arguments).rows
        return self.whole._answers.to(question, *arguments).rows_of(*self.key)

    def first(self, question: Callable[..., pd.DataFrame]) -> pd.Series[Any] | None:
        """Return the first row of `cut`; None if there is none."""
        return (self.whole or self)._answers.to(question).firsts.get(self.key)

    @cached_property
    def parameters(self) -> tuple[SearchedParameter, ...]:
        """The parameters that the searches varied, in the order of the folders and their spaces."""
        parts = [self.searched] if self.whole else [own for _, own in self.searched.groupby("folder", sort=False)]
        known = [(self.space_of(str(own.folder.iloc[0])), own) for own in parts if len(own)]
        return tuple(found for space, own in known for found in searched_parameters(space, own))

    @cached_property
    def key(self) -> tuple[str, str]:
        """Folder and scenario of runs of one scenario."""
        return str(self.trials.folder.iloc[0]), str(self.trials.scenario.iloc[0])

    @cached_property
    def _answers(self) -> _Answers:
        return _Answers(self)

    def space_of(self, folder: str) -> Mapping[str, Any]:
        """Return the content of a folder's space.yaml; empty if there is none."""
        return next((one.space for one in self.folders if one.name == folder), {})

    def confirmation_of(self, folder: str, scenario: str) -> RivalRows:
        """Return what the search recorded of a sequential confirmation; empty if there was none."""
        return next((one.confirmations.get(scenario, {}) for one in self.folders if one.name == folder), {})

    def class_name(self, folder: str, scenario: str, label: int) -> str:
        """Return the name of a class: as recorded, else the published one, else its number."""
        names = next((one.class_names for one in self.folders if one.name == folder), {})
        own = names.get(scenario, names.get(None, ()))
        if label < len(own):
            return own[label]
        return published_name(self._datasets.get((folder, scenario)), label)

    @cached_property
    def _datasets(self) -> Mapping[tuple[str, str], str]:
        first = self.trials[[*SCENARIO, "dataset"]].drop_duplicates(SCENARIO)
        return {(folder, scenario): dataset for folder, scenario, dataset in first.itertuples(index=False)}

    @cached_property
    def _scenarios(self) -> tuple[Self, ...]:
        if self.whole is not None:
            return (self,)
        number = self.trials.groupby(SCENARIO, sort=False).ngroup()  # one pass over all rows, not one per scenario
        place = pd.Series(number.to_numpy(), index=pd.MultiIndex.from_frame(self.trials[KEY]))
        place = place[~place.index.duplicated()]
        of_epochs = place.reindex(pd.MultiIndex.from_frame(self.epochs[KEY])).to_numpy()
        epochs = self.epochs.groupby(of_epochs).indices
        found = []
        for index, own in self.trials.groupby(number).indices.items():
            trials, rows = rows_at(self.trials, own), epochs.get(index, [])
            folders = tuple(folder for folder in self.folders if folder.name == trials.folder.iloc[0])
            curves = rows_at(self.epochs, rows)
            if (len(trials), len(curves), folders) == (len(self.trials), len(self.epochs), self.folders):
                return (self,)  # with what it has worked out so far
            found.append(dataclasses.replace(self, trials=trials, epochs=curves, folders=folders, whole=self))
        return tuple(found)

    @cached_property
    def scored(self) -> pd.DataFrame:
        """`trials` with `score`, `rank_score` and `test`: see `analysis.frames.selection.with_scores`."""
        return self.cut(_scored)

    @cached_property
    def searched(self) -> pd.DataFrame:
        """The search trials of `scored`."""
        return self.cut(_searched)

    @cached_property
    def completed(self) -> pd.DataFrame:
        """The columns of `scored` that say what a trial is, for trials with a score: filtered faster than all."""
        return self.scored.loc[self.scored.score.notna(), list(_IDENTITY)]

    @cached_property
    def configurations(self) -> pd.DataFrame:
        """One row per configuration with means over its seeds: see `analysis.frames.configurations.configurations`."""
        return self.cut(_configurations)


def _scored(runs: RunFrames) -> pd.DataFrame:
    return with_scores(runs.trials, runs.epochs, runs.rule)


def _searched(runs: RunFrames) -> pd.DataFrame:
    return runs.scored[runs.scored.phase == "search"]


def _configurations(runs: RunFrames) -> pd.DataFrame:
    return configurations(runs.scored)


class _Answers:
    """Answers to questions about some runs, and the places of each scenario's rows in them."""

    def __init__(self, runs: RunFrames) -> None:
        self._runs = runs
        self._found: dict[tuple[object, ...], ScenarioParts] = {}

    def to(self, question: Callable[..., pd.DataFrame], *arguments: str) -> ScenarioParts:
        """Return the answer, worked out or cut once."""
        asked = (question, *arguments)
        if asked not in self._found:
            one, whole = self._runs, self._runs.whole
            own = None if whole is None else whole._answers.to(question, *arguments).of(*one.key)
            self._found[asked] = ScenarioParts(question(one, *arguments) if own is None else own)
        return self._found[asked]


Row = SimpleNamespace
"""A row of a frame: the value of each column is an attribute, a Python number where pandas has one of numpy."""


def rows_of_frame(frame: pd.DataFrame) -> list[Row]:
    """Return the rows of a frame."""
    columns = {str(name): values.tolist() for name, values in frame.items()}
    return [Row(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


class ScenarioParts:
    """A frame with the columns `folder` and `scenario`, and the places of each scenario's rows, found once."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    @cached_property
    def _places(self) -> Mapping[Any, Any]:
        return self.frame.groupby(SCENARIO, sort=False).indices if len(self.frame) else {}

    @cached_property
    def rows(self) -> list[Row]:
        """All rows."""
        return rows_of_frame(self.frame)

    @cached_property
    def firsts(self) -> Mapping[tuple[str, str], pd.Series[Any]]:
        """The first row of each scenario, with all its columns."""
        first = self.frame.drop_duplicates(SCENARIO)
        return {(row.folder, row.scenario): row for _, row in first.iterrows()}

    @cached_property
    def _own_rows(self) -> Mapping[tuple[str, str], list[Row]]:
        found: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            found.setdefault((row.folder, row.scenario), []).append(row)
        return found

    def of(self, folder: str, scenario: str) -> pd.DataFrame:
        """Return the rows of one scenario as a frame, numbered from 0."""
        return rows_at(self.frame, self._places.get((folder, scenario), []))

    def rows_of(self, folder: str, scenario: str) -> Sequence[Row]:
        """Return the rows of one scenario."""
        return self._own_rows.get((folder, scenario), [])


def rows_at(frame: pd.DataFrame, found: Any) -> pd.DataFrame:
    """Return the rows at some places in ascending order, numbered from 0; those of a run of places without a copy."""
    places = np.asarray(found, dtype=np.int64)
    is_run = len(places) > 0 and places[-1] - places[0] + 1 == len(places)
    own = frame.iloc[places[0] : places[-1] + 1] if is_run else frame.iloc[places]
    own.index = pd.RangeIndex(len(own))
    return own


def _equal(own: object, wanted: object) -> bool:
    return bool(pd.api.types.is_scalar(own) and not pd.isna(own) and own == wanted)  # type: ignore[call-overload]
