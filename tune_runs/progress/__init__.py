"""Progress of a search: its table on a terminal, from a running search or from the files of a run folder.

`driver` and the command may import it; it imports neither torch, Ray nor Optuna.
"""
