"""One trial in its own process: its plan, its run from a snapshot, what it reports, and how it may fail.

`cohorts` and the rooms above may import it.
"""
