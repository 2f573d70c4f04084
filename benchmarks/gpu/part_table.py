"""The parts of a GPU's first hour, in their order, with their shares of the time and their targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class HourPart(NamedTuple):
    """One part of the hour, which runs in its own process."""

    number: int
    name: str
    """Name in the names of its files."""
    title: str
    module: str
    """Module whose `measure` does the work; imported in the part's own process alone: some import Ray."""
    share: float
    """Share of the time, as minutes of an hour."""
    targets: tuple[str, ...] = ()
    """Targets that it decides, for the page of an hour in which it has not run."""

    @property
    def stem(self) -> str:
        """Name of its files without their endings."""
        return f"part-{self.number}-{self.name}"


PARTS = (
    HourPart(1, "machine", "What is there", "benchmarks.gpu.machine_part", 2),
    HourPart(2, "tests", "Tests that need a GPU", "benchmarks.gpu.tests_part", 7),
    HourPart(
        3,
        "numbers",
        "The same numbers on every path",
        "benchmarks.gpu.numbers_part",
        7,
        ("the accuracy of fast runs is within 2 points of that of exact ones, mean over 3 seeds",),
    ),
    HourPart(
        4,
        "throughput",
        "Images per second of one run",
        "benchmarks.gpu.throughput_part",
        11,
        ("a fast run trains at least 5 times as fast as the peer", "a fast run reaches at least 80 % of its own bound"),
    ),
    HourPart(
        5,
        "packing",
        "Several runs on one GPU",
        "benchmarks.gpu.packing_part",
        13,
        ("ResNet-32 runs together train at least 4 times as fast as one at a time",),
    ),
    HourPart(6, "search", "A whole search", "benchmarks.gpu.search_part", 16),
    HourPart(7, "profile", "Where the time of an epoch goes", "benchmarks.gpu.profile_part", 4),
)


def limit_s(part: HourPart, rest: Sequence[HourPart], left_s: float) -> float:
    """Return the seconds that a part may take: its share of those left, so that a part that ends early leaves more.

    Args:
        part: the next part.
        rest: parts that run after it.
        left_s: seconds left for all of them.
    """
    return left_s * part.share / sum(one.share for one in (part, *rest))


def parsed_parts(text: str) -> list[HourPart]:
    """Return the parts that a list of numbers names, each once, in the order of the hour.

    >>> [part.name for part in parsed_parts("4,1")]
    ['machine', 'throughput']

    Raises:
        ValueError: if a word is not the number of a part.
    """
    words = [word.strip() for word in text.split(",")]
    numbers = [str(part.number) for part in PARTS]
    wrong = next((word for word in words if word not in numbers), None)
    if wrong is not None:
        raise ValueError(f"expected numbers from 1 to {len(PARTS)}, separated by commas, got {wrong!r}")
    return [part for part in PARTS if str(part.number) in words]
