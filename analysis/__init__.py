"""Run folders as frames, tables, figures and a report; imports neither torch nor Ray."""

from analysis.load import load
from analysis.runs import Runs
from analysis.selection import SelectionRule

__all__ = ["Runs", "SelectionRule", "load"]
