"""Early stopping: the epochs at which trials are compared (rungs), and the rule that decides which of them stop there.

Every room above may import it; it imports `space` alone, and neither torch, Ray nor Optuna.
"""
