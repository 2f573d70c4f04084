"""One trial of a plain Ray Tune script, from params.json and result.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absgd.counts import plural
from analysis.frames.complaints import Complain, reason_of
from analysis.frames.ray_columns import (
    EPOCH_TYPES,
    SETTING_TYPES,
    ColumnValues,
    column_sources,
    converter,
    flat,
    is_not_finite,
    is_too_large,
    real_number,
    whole_number,
)

PARAMETER = "params/"
"""Prefix of the columns of parameters that are not settings of ours."""

JsonObject = dict[str, Any]


class RayTrial(NamedTuple):
    """The content of a trial's folder, in our columns."""

    name: str
    ray_id: str | None
    """Ray's id of the trial; None if the results do not have it."""
    settings: ColumnValues
    """Parameters that are settings of ours."""
    others: ColumnValues
    """The other parameters, in columns `params/NAME`."""
    epochs: list[ColumnValues]
    """One row per epoch, in order."""
    counts_epochs: bool
    """Whether `epoch` is the script's own; else epochs are the iterations that Ray counts, from 0."""
    is_from_0: bool
    """Whether each of its own epochs is one less than the iteration, which Ray counts from 1."""
    not_finite: frozenset[str]
    """Columns that are NaN or infinite in the last result."""
    metrics: tuple[str, ...]
    """Names of the metrics, as the script spells them."""
    parameters: tuple[str, ...]
    """Names of the parameters, as the script spells them."""
    rivals: tuple[tuple[str, str, str], ...]
    """Epoch column, the metric that it is read from, and another one that could mean it."""
    wall_s: float | None
    has_error: bool
    """Whether it raised at least once."""
    settings_changed: bool
    """Whether its parameters changed while it trained."""

    @property
    def epochs_reached(self) -> int:
        """Epochs up to the last one reported."""
        return int(self.epochs[-1]["epoch"]) + 1 if self.epochs else 0


class _Unfit(NamedTuple):
    """The script's names of values that no column can hold."""

    too_large: set[str]
    text: set[str]


def read_trial(folder: Path, names: Mapping[str, str], complain: Complain) -> RayTrial | None:
    """Read the folder of a trial; None if it is not one, or its parameters are unreadable."""
    params_file, result_file = folder / "params.json", folder / "result.json"
    if not (params_file.is_file() or result_file.is_file()):
        return None
    configs, results = _read_results(result_file, complain) if result_file.is_file() else ([], [])
    params = _json_object(params_file, complain) if params_file.is_file() else None
    if params is None:
        params = configs[-1] if configs else None
    if not isinstance(params, Mapping):
        complain(f"{folder.name}: no readable params.json; left out")
        return None
    last = results[-1] if results else {}
    unfit = _Unfit(set(), set())
    metrics = tuple(dict.fromkeys(name for line in dict.fromkeys(map(tuple, results)) for name in line))
    sources = column_sources(metrics, names, EPOCH_TYPES)
    rows = _rows(results, sources.columns, unfit)
    settings, others = _settings(params, names, unfit)
    for label, wrong in (("number too large", unfit.too_large), ("text instead of numbers", unfit.text)):
        if wrong:
            complain(f"{folder.name}: {label}, left out: {', '.join(sorted(wrong))}")
    return RayTrial(
        name=folder.name,
        ray_id=str(last["trial_id"]) if "trial_id" in last else None,
        settings=settings,
        others=others,
        epochs=_one_row_per_epoch(rows, results),
        counts_epochs=_has_own_epochs(rows),
        is_from_0=_has_own_epochs(rows) and _are_from_0(rows, results),
        not_finite=frozenset(ours for name, ours in sources.columns.items() if is_not_finite(last.get(name))),
        metrics=metrics,
        parameters=tuple(name for name, _ in flat(params)),
        rivals=sources.rivals,
        wall_s=real_number(last.get("time_total_s")),
        has_error=(folder / "error.txt").exists() or (folder / "error.pkl").exists(),
        settings_changed=len(configs) > 1,
    )


def _json_object(file: Path, complain: Complain) -> JsonObject | None:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        complain(f"cannot read {file.parent.name}/{file.name}: {reason_of(error)}")
        return None
    return data if isinstance(data, dict) else None


def _read_results(file: Path, complain: Complain) -> tuple[list[Any], list[JsonObject]]:
    """Read the intact lines of result.json: the parameters, again where they changed, and the metrics of each line.

    The names of nested metrics are joined by ``/``.
    """
    configs: list[Any] = []
    results: list[JsonObject] = []
    damaged = 0
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                result = json.loads(line)
            except (ValueError, RecursionError):
                damaged += bool(line.strip())
                continue
            if isinstance(result, dict):
                config = result.pop("config", None)
                if not configs or config != configs[-1]:
                    configs.append(config)
                is_nested = dict in map(type, result.values())
                results.append(dict(flat(result)) if is_nested else result)
    if damaged:
        complain(f"{file.parent.name}/{file.name}: {plural(damaged, 'damaged line')} left out")
    return configs, results


def _rows(results: Sequence[JsonObject], columns: Mapping[str, str], unfit: _Unfit) -> list[ColumnValues]:
    """Return the results in our columns; `unfit` receives the script's names of values that no column can hold."""
    readers = [(name, ours, converter(EPOCH_TYPES[ours])) for name, ours in columns.items()]
    rows = []
    for result in results:
        values: ColumnValues = {}
        for name, ours, convert in readers:
            if name in result:
                value = result[name]
                values[ours] = convert(value)
                if values[ours] is None and is_too_large(value):
                    unfit.too_large.add(name)
                elif values[ours] is None and isinstance(value, str) and not is_not_finite(value):
                    unfit.text.add(name)
        rows.append(values)
    return rows


def _has_own_epochs(rows: Sequence[ColumnValues]) -> bool:
    """Whether every result has a whole `epoch`: fractions, or gaps, do not number the results."""
    return bool(rows) and all(row.get("epoch") is not None for row in rows)


def _are_from_0(rows: Sequence[ColumnValues], results: Sequence[JsonObject]) -> bool:
    iterations = (whole_number(result.get("training_iteration")) for result in results)
    return all(done == row["epoch"] + 1 for done, row in zip(iterations, rows, strict=True))


def _one_row_per_epoch(rows: Sequence[ColumnValues], results: Sequence[JsonObject]) -> list[ColumnValues]:
    """Return one row per epoch, in order.

    Epochs are the script's own, else Ray's iterations, from 0. A trial that lost its process and continues at an
    earlier iteration takes back the later ones; of several results of an epoch each value is the latest one.
    """
    has_own_epochs = _has_own_epochs(rows)
    found: dict[int, ColumnValues] = {}
    latest = -1
    for place, (row, result) in enumerate(zip(rows, results, strict=True)):
        done = whole_number(result.get("training_iteration"))
        iteration = place if done is None else done - 1  # Ray counts from 1
        epoch = int(row["epoch"]) if has_own_epochs else iteration
        if iteration <= latest:
            found = {earlier: kept for earlier, kept in found.items() if earlier < epoch}
        found[epoch] = {**found.get(epoch, {}), **row, "epoch": epoch}
        latest = iteration
    return [found[epoch] for epoch in sorted(found)]


def _settings(params: Mapping[str, Any], names: Mapping[str, str], unfit: _Unfit) -> tuple[ColumnValues, ColumnValues]:
    """Return the parameters that are settings of ours, and the others; lists among the others as JSON.

    Args:
        params: content of params.json.
        names: the script's name -> our column.
        unfit: receives the script's names of values that no column can hold.
    """
    settings: ColumnValues = {}
    others: ColumnValues = {}
    columns = column_sources((name for name, _ in flat(params)), names, SETTING_TYPES, by_last_word=True).columns
    for name, value in flat(params):
        ours = columns.get(name)
        typed = None if ours is None else converter(SETTING_TYPES[ours])(value)
        if ours is not None and typed is not None:
            settings[ours] = typed
        elif is_too_large(value):
            unfit.too_large.add(name)
        elif isinstance(value, bool | int | float | str):
            others[PARAMETER + name] = value
        elif isinstance(value, list):
            others[PARAMETER + name] = json.dumps(value)
    return settings, others
