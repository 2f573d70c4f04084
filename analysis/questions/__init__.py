"""The questions asked of loaded runs: functions from frames to frames or sentences.

`analysis.runs` and the rooms above it, figures and report, may import it.
"""
