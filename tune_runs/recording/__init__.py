"""What is kept of a search while it runs: tables, checkpoints, images in use, budgets spent, TensorBoard files.

`confirm`, `driver` and the rooms above may import it.
"""
