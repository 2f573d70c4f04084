"""The loop of a search: Optuna proposes, Ray trains, and every report is recorded, judged and shown.

`run_search` and `benchmarks` alone may import it; it imports Ray, so import it inside a Ray session only.
"""
