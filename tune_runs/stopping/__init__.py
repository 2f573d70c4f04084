"""Early stopping: the rungs, and the rule that stops the trials that fall behind at one.

Every room above may import it; it imports `space` alone, and neither torch, Ray nor Optuna.
"""
