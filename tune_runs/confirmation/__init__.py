"""Confirmation on fresh seeds: candidates and controls, the plan of their runs, the results, and the file of the best.

`preview`, `driver` and the rooms above may import it.
"""
