"""ABSGD on imbalanced and mislabelled images: the method and one training run.

Names are imported on first use, so that `import absgd.records` does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from absgd.config import RunConfig
    from absgd.datasets import Splits, load_splits, load_test
    from absgd.errors import UserError
    from absgd.export.model_file import load_model
    from absgd.losses import attention_weights
    from absgd.training import Diverged, Trainer

_HOME = {
    "Diverged": "absgd.training",
    "RunConfig": "absgd.config",
    "Splits": "absgd.datasets",
    "Trainer": "absgd.training",
    "UserError": "absgd.errors",
    "attention_weights": "absgd.losses",
    "load_model": "absgd.export.model_file",
    "load_splits": "absgd.datasets",
    "load_test": "absgd.datasets",
}

__all__ = [
    "Diverged",
    "RunConfig",
    "Splits",
    "Trainer",
    "UserError",
    "attention_weights",
    "load_model",
    "load_splits",
    "load_test",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'absgd' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
