"""The imports of a worker of our own Ray as it starts, while the driver reads torch and images; it touches no GPU."""

import os

from absgd.whole_imports import import_whole
from tune_runs.ray_cluster.session import TRAINS_NOTHING

if TRAINS_NOTHING not in os.environ:
    import_whole("tune_runs.trial.trainable")
