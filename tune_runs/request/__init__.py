"""The request of the user: space files and their rules, the run folder, points to start from.

Every room above may import it; it imports neither torch, Ray nor Optuna.
"""
