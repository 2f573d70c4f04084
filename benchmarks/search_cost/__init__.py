"""Cost of a search: ``python -m benchmarks.search_cost``; imports `complete_curves` and `harness`."""
