"""The copy of a run folder in a storage elsewhere, such as S3: made while a search runs, and restored to an empty disk.

`whole_search` and the commands may import it; it imports no other room of `tune_runs`.
"""
