"""Stage one, trained once: which runs share it, what identifies it, and the snapshots that runs fork from.

Every room above may import it; it imports `space` alone.
"""
