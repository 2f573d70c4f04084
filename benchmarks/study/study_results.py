"""Results of the study, read from its committed run folders: one part for each scenario of each search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from absgd import records
from absgd.config import merge_dotted
from absgd.config.dotted_keys import setting_value
from absgd.records import Verdict
from analysis import Runs, load
from analysis.frames.run_frames import ScenarioParts
from analysis.frames.typed_frames import SCENARIO
from benchmarks.study.study_spaces import SEARCHES, study_space
from tune_runs.space.model import Scenario

DATA_TITLES = {"digits": "digits", "fashion_mnist": "Fashion-MNIST"}
"""Data set -> its name in sentences."""
LONG_TAILED = ("imbalanced", "both")
"""Kinds of searches for class imbalance, over cross entropy."""
NOISY = ("noisy_sce", "noisy_tce")
"""Kinds of searches for wrong labels alone."""
KIND_WORDS = {"noisy_sce": "over SCE", "noisy_tce": "over TCE", "ldam": "over LDAM"}
"""Kind of search -> what its attention weights are put over, where that is not cross entropy."""
_NOISE_WORDS = {"symmetric": "symmetric noise", "pair_flip": "pair noise"}


class PartResult(NamedTuple):
    """The findings in a scenario that was run."""

    runs: Runs
    """The runs of this scenario."""
    winner: pd.Series[Any]
    """Its row of `Runs.best`."""
    verdict: Verdict
    on_test: pd.DataFrame
    """Its rows of `Runs.comparisons`."""
    on_validation: pd.DataFrame
    """Its rows of `Runs.compare` on validation."""

    @property
    def is_confirmed(self) -> bool:
        """Whether the configuration was trained on fresh seeds."""
        return bool(self.winner.basis == "confirmed")

    @property
    def chosen_trial(self) -> str:
        """Trial of the search that the configuration was."""
        return records.source_of(str(self.winner.trial_id))


class StudyPart(NamedTuple):
    """One scenario of one search."""

    search: str
    dataset: str
    title: str
    """Imbalance and noise in words, such as `exp 0.02 with symmetric noise 0.2`."""
    result: PartResult | None = None
    """None: not run."""

    @property
    def kind(self) -> str:
        """Kind of the search, such as `imbalanced` or `noisy_sce`."""
        return self.search.removeprefix(f"{self.dataset}_")

    @property
    def long_title(self) -> str:
        """Data set, imbalance and noise in words."""
        return f"{DATA_TITLES[self.dataset]} {self.title}"

    @property
    def label(self) -> str:
        """Imbalance and noise in words, and what the attention weights are put over."""
        return f"{self.title}, {KIND_WORDS[self.kind]}" if self.kind in KIND_WORDS else self.title

    @property
    def long_label(self) -> str:
        """Data set and label."""
        return f"{DATA_TITLES[self.dataset]} {self.label}"


RunPart = tuple[StudyPart, PartResult]
"""A scenario that was run, and what was found."""


def run_parts(parts: Sequence[StudyPart]) -> list[RunPart]:
    """Return the scenarios that were run."""
    return [(part, part.result) for part in parts if part.result is not None]


def confirmed_parts(parts: Sequence[StudyPart]) -> list[RunPart]:
    """Return the scenarios that were run and whose configuration was confirmed."""
    return [(part, result) for part, result in run_parts(parts) if result.is_confirmed]


def study_parts(results: Path) -> list[StudyPart]:
    """Return every scenario of the study, those that were not run too.

    Args:
        results: folder of the committed run folders.
    """
    folders = [results / search for search in SEARCHES if (results / search / records.SPACE_FILE).is_file()]
    found = part_results(load(folders)) if folders else {}
    return [
        StudyPart(search, *_data_and_title(search, scenario), found.get((str(results / search), scenario.name)))
        for search in SEARCHES
        for scenario in study_space(search).scenario_list
    ]


def part_results(runs: Runs) -> dict[tuple[str, str], PartResult]:
    """Return what was found in each scenario, by folder and scenario; asked of all at once, which is faster."""
    winners = {(row.folder, row.scenario): row for _, row in runs.best(SCENARIO).iterrows()}
    verdicts = {(one.folder, one.scenario): one for one in runs.verdicts()}
    on_test, on_validation = map(ScenarioParts, (runs.comparisons, runs.compare(control=None, on="validation")))
    found = {}
    for one in runs.scenarios():
        key = one.key
        found[key] = PartResult(one, winners[key], verdicts[key], on_test.of(*key), on_validation.of(*key))
    return found


def _data_and_title(search: str, scenario: Scenario) -> tuple[str, str]:
    """Return the data set of a scenario, and its imbalance and noise in words."""
    settings = merge_dotted(study_space(search).base, scenario.settings, "study")
    words = []
    if (kind := setting_value(settings, "imbalance.type")) != "none":
        words.append(f"{kind} {setting_value(settings, 'imbalance.ratio'):g}")
    if (noise := setting_value(settings, "noise.type")) != "none":
        words.append(f"{_NOISE_WORDS[noise]} {setting_value(settings, 'noise.rate'):g}")
    return str(setting_value(settings, "data.name")), " with ".join(words)


COMPARED = (
    "search",
    "kind",
    "dataset",
    "title",
    "control",
    "n",
    "difference",
    "low",
    "high",
    "finding",
    "lam",
    "lr",
    "weight_decay",
    "class_balance_beta",
)
"""Columns of `comparison_frame`."""


def comparison_frame(parts: Sequence[StudyPart]) -> pd.DataFrame:
    """Return a row for each configuration and control that were compared on fresh seeds.

    Returns:
        The columns `COMPARED`: `title` names data set and scenario; `n` pairs; `difference`, `low` and `high` in points
        of test balanced accuracy, positive where ABSGD is ahead, with the confirmation's own interval (NaN: one pair);
        `finding`; then the settings of the configuration (NaN: not searched).
    """
    rows = [row for part, result in confirmed_parts(parts) for row in _compared(part, result)]
    return pd.DataFrame(rows, columns=COMPARED)


def _compared(part: StudyPart, result: PartResult) -> list[dict[str, Any]]:
    about = {"search": part.search, "kind": part.kind, "dataset": part.dataset, "title": part.long_title}
    own = {name: result.winner.get(name) for name in ("lam", "lr", "weight_decay", "class_balance_beta")}
    rows = []
    for _, row in result.on_test.iterrows():
        points = {name: row[name] / records.POINT for name in ("difference", "low", "high")}
        rows.append({**about, "control": row.control, "n": row.n, **points, "finding": row.finding, **own})
    return rows
