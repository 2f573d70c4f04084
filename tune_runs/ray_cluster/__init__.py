"""The Ray cluster that a search runs on: its session, the watchdog over it, and the images that its nodes share.

Every room above may import it; it imports no other room of `tune_runs`.
"""
