"""Faults injected into real searches, and how many of each were survived: ``python -m benchmarks.faults``."""
