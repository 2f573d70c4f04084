"""Confirmation on fresh seeds: candidates and controls, their schedule, the results, and the file of the best.

`preview`, `driver` and the rooms above may import it.
"""
