"""The search: a space of settings, the trials that Optuna proposes, their training, confirmation and records.

Apart from `benchmarks`, the only package that imports Ray; `benchmarks` and users may import it. Names are imported on
first use: `import tune_runs` loads neither torch nor Ray, which reads its environment when it is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from absgd.errors import UserError
    from tune_runs.from_python import confirm, search
    from tune_runs.own_tuner import absgd_trainable
    from tune_runs.request.search_request import SearchFailed, SearchInterrupted
    from tune_runs.request.space_files import load_space
    from tune_runs.space.model import SearchSpace
    from tune_runs.whole_search import SearchResult

_HOME = {
    "SearchFailed": "tune_runs.request.search_request",
    "SearchInterrupted": "tune_runs.request.search_request",
    "SearchResult": "tune_runs.whole_search",
    "SearchSpace": "tune_runs.space.model",
    "UserError": "absgd.errors",
    "absgd_trainable": "tune_runs.own_tuner",
    "confirm": "tune_runs.from_python",
    "load_space": "tune_runs.request.space_files",
    "search": "tune_runs.from_python",
}

__all__ = [
    "SearchFailed",
    "SearchInterrupted",
    "SearchResult",
    "SearchSpace",
    "UserError",
    "absgd_trainable",
    "confirm",
    "load_space",
    "search",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tune_runs' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
