"""Run folders read into typed frames, and the rule that scores trials.

Every room of `analysis` but `wording`, which is below, may import it.
"""
