"""A run folder of many trials, made from one of few: its trials are repeated under other numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from absgd import records

_CREATE_TRIAL = 4
"""Operation of Optuna's journal that begins a trial; those that name a `trial_id` change one."""


def clone_trials(source: Path, target: Path, num_trials: int) -> None:
    """Copy a run folder of one scenario and repeat its search trials until there are `num_trials`.

    Args:
        source: run folder of a search that has ended, with the trials 0 to n - 1.
        target: the new run folder.
        num_trials: a multiple of n.
    """
    shutil.copytree(source, target)
    for name in (records.TRIALS_FILE, records.EPOCHS_FILE):
        table = pq.read_table(source / name)
        is_search = pc.is_valid(_numbers(table["trial_id"]))
        own = table.filter(is_search)
        count = len(set(pq.read_table(source / records.TRIALS_FILE)["number"].drop_null().to_pylist()))
        copies = [_renumbered(own, count * copy) for copy in range(num_trials // count)]
        pq.write_table(pa.concat_tables([table.filter(pc.invert(is_search)), *copies]), target / name)
    for journal in target.glob(f"scenarios/*/{records.STUDY_FILE}"):
        _repeat_journal(journal, num_trials)


def _numbers(trial_ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the number at the end of each id of a search trial; null for other runs."""
    found = pc.extract_regex(trial_ids, r"-(?P<number>[0-9]{4,})$")
    return pc.cast(pc.struct_field(found, "number"), pa.int64())


def _renumbered(table: pa.Table, by: int) -> pa.Table:
    numbers = pc.add(_numbers(table["trial_id"]), by)
    prefix = pc.replace_substring_regex(table["trial_id"], r"[0-9]{4,}$", "")
    text = pc.utf8_lpad(pc.cast(numbers, pa.string()), 4, "0")
    ids = pc.binary_join_element_wise(prefix, text, "")
    table = table.set_column(table.schema.get_field_index("trial_id"), "trial_id", ids)
    if "number" in table.column_names:
        table = table.set_column(table.schema.get_field_index("number"), "number", numbers)
    return table.cast(table.schema)


def _repeat_journal(path: Path, num_trials: int) -> None:
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    count = sum(entry["op_code"] == _CREATE_TRIAL for entry in entries)
    head = [entry for entry in entries if not _is_of_trial(entry)]
    own = [entry for entry in entries if _is_of_trial(entry)]
    with path.open("w") as file:
        for entry in head:
            file.write(json.dumps(entry) + "\n")
        for copy in range(num_trials // count):
            for entry in own:
                file.write(json.dumps(_moved(entry, copy * count)) + "\n")


def _is_of_trial(entry: dict[str, Any]) -> bool:
    return "trial_id" in entry or entry["op_code"] == _CREATE_TRIAL


def _moved(entry: dict[str, Any], by: int) -> dict[str, Any]:
    if "trial_id" not in entry:
        return entry
    moved = {**entry, "trial_id": entry["trial_id"] + by}
    if "trial_id" in entry.get("user_attr", {}):
        name, number = entry["user_attr"]["trial_id"].rsplit("-", 1)
        moved["user_attr"] = {"trial_id": f"{name}-{int(number) + by:04d}"}
    return moved
