"""Cost of a verdict: ``python -m benchmarks.verdict_cost``; imports `complete_curves` and `harness`."""
