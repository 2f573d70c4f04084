"""The imports of a worker of our own Ray as it starts, while the driver reads torch and images; it touches no GPU."""

from absgd.whole_imports import import_whole

import_whole("tune_runs.trial.trainable")
