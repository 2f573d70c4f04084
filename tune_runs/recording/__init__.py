"""Everything kept while a search runs: its tables, checkpoints, images, budgets and trackers.

`confirm`, `driver` and the rooms above may import it.
"""
