"""Early stopping: where the rungs lie, and which trials fall behind at one.

Every room above may import it; it imports `space` alone, and neither torch, Ray nor Optuna.
"""
