"""The study on real images: ``python -m benchmarks.study``; imports `harness` alone."""
