"""What a search would do and cost, before anything is trained: epochs, wall time, trials at once.

`driver` and `cli` may import it; it imports neither Ray nor Optuna.
"""
