"""Files of a run folder that a node cannot see: where they are, and how a worker there writes and reads them.

Every room above may import it; it imports `ray_cluster` alone.
"""
