"""Run folders as frames, answers, tables, figures and a report; imports neither torch nor Ray.

Users and `benchmarks` may import it; it meets `tune_runs` in files only.
"""

from analysis.frames.selection import SelectionRule
from analysis.load import load
from analysis.runs import Runs

__all__ = ["Runs", "SelectionRule", "load"]
