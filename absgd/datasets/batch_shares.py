"""The share of a batch that a process reads and trains on, where several processes train on one batch."""

from __future__ import annotations

from typing import NamedTuple


class Share(NamedTuple):
    """One process's share of every batch; by default the whole batch, for a single process.

    >>> [Share(rank, size=3).rows(7) for rank in range(3)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
    """

    rank: int = 0
    """Number of the process, from 0."""
    size: int = 1
    """Number of processes."""

    def rows(self, num_images: int) -> slice:
        """The process's rows of a batch of `num_images`; shares differ by at most one image, and may be empty."""
        return slice(self.rank * num_images // self.size, (self.rank + 1) * num_images // self.size)

    def largest(self, num_images: int) -> int:
        """Number of images in the largest share of a batch of `num_images`."""
        return -(-num_images // self.size)


WHOLE = Share()
