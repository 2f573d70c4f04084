"""A search space as data, and the run configs that it yields: a trial's, the plain control's, those at its boundary.

Every room above may import it; it imports no other room of `tune_runs`, and neither torch, Ray nor Optuna.
"""
