"""Runs on seed pairs: which of them share a trunk, and which of those planned starts next.

`confirmation` and the rooms above may import it.
"""
