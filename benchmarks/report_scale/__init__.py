"""Report of many scenarios: ``python -m benchmarks.report_scale``; imports `harness` alone."""
