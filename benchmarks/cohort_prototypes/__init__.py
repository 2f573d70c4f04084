"""Prototypes of a cohort's training: ``python -m benchmarks.cohort_prototypes``; imports `packing` and `harness`."""
