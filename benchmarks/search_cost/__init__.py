"""What a search costs against a plain Ray Tune script: ``python -m benchmarks.search_cost``."""
