"""The searches of the study, in the order in which they run, and the folders of their spaces and results."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from benchmarks.harness.locations import RESULTS
from tune_runs.request.space_files import load_space
from tune_runs.space.model import SearchSpace

STUDY_SPACES = Path(__file__).parent / "spaces"
"""Search spaces of the study."""
STUDY_RESULTS = RESULTS / "study"
"""Committed run folders, one for each search that has ended, without what is large."""
SEARCHES = (
    "digits_imbalanced",
    "fashion_mnist_imbalanced",
    "digits_noisy_sce",
    "fashion_mnist_noisy_sce",
    "digits_both",
    "fashion_mnist_both",
    "digits_noisy_tce",
    "fashion_mnist_noisy_tce",
    "digits_ldam",
    "fashion_mnist_ldam",
)
"""Names of the searches, the most important first: what is cut short then lacks the least."""


def space_file(name: str) -> Path:
    """Return the file of a search's space."""
    return STUDY_SPACES / f"{name}.yaml"


@cache
def study_space(name: str) -> SearchSpace:
    """Return the space of a search."""
    return load_space(str(space_file(name)))
