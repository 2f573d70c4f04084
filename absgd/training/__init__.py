"""One training run: steps, epochs, schedules, evaluation, checkpoints, ranks. For `absgd.cli` and `tune_runs`."""

from absgd.training.checkpoint import load_checkpoint, save_checkpoint
from absgd.training.device import gpu_names
from absgd.training.lr_schedule import learning_rate
from absgd.training.run_folder import RunFolder
from absgd.training.step import Diverged
from absgd.training.trainer import Trainer

__all__ = [
    "Diverged",
    "RunFolder",
    "Trainer",
    "gpu_names",
    "learning_rate",
    "load_checkpoint",
    "save_checkpoint",
]
