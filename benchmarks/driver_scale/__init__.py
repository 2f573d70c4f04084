"""Cost of the driver: ``python -m benchmarks.driver_scale``; imports `harness`."""
