"""Faults injected into real searches: ``python -m benchmarks.faults``; imports `harness` alone."""
