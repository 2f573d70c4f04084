"""Tuned controls: the small searches over the settings of methods that ABSGD is compared with, and the best of each.

`confirmation` and the rooms above may import it.
"""
