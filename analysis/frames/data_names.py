"""Names of the data and of its classes, for people: as recorded, else as the settings and the tables give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from absgd import records
from absgd.config.locations import title_of_folder
from absgd.registry.dataset_table import DATASETS
from analysis.frames.complaints import Complain, reason_of

ClassNames = Mapping[str | None, Sequence[str]]
"""Scenario -> names of its classes, by label; None: of the one run that the folder holds."""


def with_titles(trials: pd.DataFrame) -> pd.DataFrame:
    """Fill `data_title` of a user's own images where it is empty, with the name of their folder."""
    names = [
        title if isinstance(title, str) else _title(dataset, root)
        for title, dataset, root in zip(trials.data_title, trials.dataset, trials.data_root, strict=True)
    ]
    return trials.assign(data_title=pd.Series(names, index=trials.index, dtype=trials.data_title.dtype))


def _title(dataset: object, root: object) -> str | None:
    spec = DATASETS.get(str(dataset))
    if spec is None or not spec.titled_by_folder or not isinstance(root, str):
        return None
    return title_of_folder(root)


def read_class_names(path: Path, complain: Complain) -> ClassNames:
    """Return the names of the classes that a run folder records; none of versions that recorded none."""
    found: dict[str | None, Sequence[str]] = {}
    inner = sorted((path / records.SCENARIOS_FOLDER).glob(f"*/{records.CLASSES_FILE}"))
    for file in (path / records.CLASSES_FILE, *inner):
        if not file.is_file():
            continue
        try:
            table = pq.read_table(file, columns=["class", "name"]).to_pylist()
            names = {int(row["class"]): str(row["name"]) for row in table}
            found[None if file.parent == path else file.parent.name] = [names[label] for label in range(len(names))]
        except (pa.ArrowException, OSError, ValueError, TypeError, LookupError) as error:
            complain(f"cannot read {file.relative_to(path)}: {reason_of(error)}")
    return found


def published_name(dataset: object, label: int) -> str:
    """Return the published name of a class; its number if there is none."""
    spec = DATASETS.get(str(dataset))
    return spec.class_names[label] if spec is not None and label < len(spec.class_names) else str(label)
