"""The tables of losses, models and data sets: one entry each, with all that configs, controls and reports ask of it.

Every package may import it; it imports nothing of this project and no torch, so builders are named, not imported.
"""
