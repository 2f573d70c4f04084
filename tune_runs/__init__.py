"""The search: a space of settings, the trials that Optuna proposes, their training, confirmation and records.

Apart from `benchmarks`, the only package that imports Ray; `benchmarks` and users may import it.
"""
