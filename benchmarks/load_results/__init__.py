"""Loading of many trials, compared with Ray's own: ``python -m benchmarks.load_results``; imports `harness` alone."""
