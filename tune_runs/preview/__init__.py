"""The plan and cost of a search before anything is trained: epochs, wall time, simultaneous trials.

`driver`, `preview_command` and `cli` may import it; it imports neither Ray nor Optuna.
"""
