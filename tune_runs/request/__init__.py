"""The request of the user: space files and their rules, the run folder, points to start from.

`driver`, `run_search` and `cli` may import it; it imports neither torch, Ray nor Optuna.
"""
