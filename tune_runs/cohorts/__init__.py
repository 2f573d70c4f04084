"""Trials that take turns in one process: the host that trains them, and the thin processes that report for them.

`driver` alone may import it.
"""
