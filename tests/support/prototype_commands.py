"""The command of `benchmarks.cohort_prototypes` at its smallest."""

from __future__ import annotations

import sys

import pytest

TINY = [
    "--threads",
    "1",
    "--model",
    "resnet8",
    "--members",
    "2",
    "--rounds",
    "2",
    "--batches",
    "1",
    "--batch",
    "4",
    "--device",
    "cpu",
]
"""Options of a measurement that takes seconds."""


def set_arguments(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Let `main` of the benchmark read these command line arguments."""
    monkeypatch.setattr(sys, "argv", ["cohort_prototypes.py", *arguments])
