"""Plans of seeds for a search: ``python -m benchmarks.seed_plans``; imports `complete_curves` and `harness`."""
