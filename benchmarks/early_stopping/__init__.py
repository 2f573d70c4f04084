"""Rules of early stopping: ``python -m benchmarks.early_stopping``; imports `complete_curves` and `harness`."""
