"""Images per second of a run, its peer and its bound: ``python -m benchmarks.throughput``; imports `harness` alone."""
