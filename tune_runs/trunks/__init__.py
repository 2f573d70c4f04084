"""Stage one, trained once: which runs share it, what identifies it, and the snapshots that runs fork from.

Runs with the same `RunConfig.stage_one_key` share it.

Every room above may import it; it imports `space` and `file_store` alone.
"""
