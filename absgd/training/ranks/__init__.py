"""Ranks: the processes that train one run together. For `absgd.training` and `tune_runs.trial`."""
