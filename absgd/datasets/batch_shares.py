"""Which images of a batch a process reads and trains on, where several train on one batch together."""

from __future__ import annotations

from typing import NamedTuple


class Share(NamedTuple):
    """The part of one process of every batch; by default there is one process, and it has all.

    >>> [Share(rank, size=3).rows(7) for rank in range(3)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
    """

    rank: int = 0
    """Which process, counted from 0."""
    size: int = 1
    """Processes."""

    def rows(self, num_images: int) -> slice:
        """Its places in a batch of so many images: as many as the others have, or one less; none in a small batch."""
        return slice(self.rank * num_images // self.size, (self.rank + 1) * num_images // self.size)


WHOLE = Share()
