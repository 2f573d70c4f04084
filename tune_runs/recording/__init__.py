"""Everything kept while a search runs: its tables, checkpoints, images, budgets and trackers.

`confirmation`, `driver` and the rooms above may import it.
"""
