"""Points of a neighbouring scenario tried first: ``python -m benchmarks.point_transfer``; imports `complete_curves`."""
