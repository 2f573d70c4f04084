"""Ways to train several members timed in interleaved rounds, and their ratios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from benchmarks.cohort_prototypes.cohort_ways import IN_TURN, LockstepEpoch, LockstepWay
from benchmarks.harness.interleaved_rounds import Quartiles, interleaved_rounds, quartile_cell, quartiles
from benchmarks.harness.target_verdicts import TargetVerdict
from benchmarks.packing import Packed, packing_verdict

Ways = Mapping[int, Mapping[str, LockstepWay]]
"""Number of members -> name -> way."""
LockstepEpochs = Mapping[int, Mapping[str, list[LockstepEpoch]]]
"""Number of members -> name of the way -> epoch of each round."""


class LockstepSpeed(NamedTuple):
    """One row of the table."""

    images_per_s: Quartiles
    of_one: Quartiles
    of_in_turn: Quartiles
    peak_bytes: int
    how: str


LockstepSpeeds = Mapping[int, Mapping[str, LockstepSpeed]]
"""Number of members -> name of the way -> its row."""


def time_ways(ways: Ways, rounds: int) -> LockstepEpochs:
    """Time every way in every round, the ways of one number of members next to each other; the first round warms up."""
    found: dict[int, dict[str, list[LockstepEpoch]]] = {
        count: {name: [] for name in named} for count, named in ways.items()
    }
    groups = [[(count, name) for name in named] for count, named in ways.items()]
    for (count, name), is_counted in interleaved_rounds(groups, rounds):
        taken = ways[count][name].epoch()
        if is_counted:
            found[count][name].append(taken)
    return found


def lockstep_speeds(found: LockstepEpochs, ways: Ways, num_images: int) -> LockstepSpeeds:
    """Return images per second of all members together, and ratios within each round.

    Args:
        found: epochs of every round.
        ways: how each of them trained.
        num_images: images that each member trains on.
    """

    def speeds(count: int, name: str) -> list[float]:
        return [count * num_images / taken.seconds for taken in found[count][name]]

    def row(count: int, name: str) -> LockstepSpeed:
        own = speeds(count, name)
        one, in_turn = (
            quartiles([mine / other for mine, other in zip(own, speeds(other_count, IN_TURN), strict=True)])
            for other_count in (1, count)
        )
        peak_bytes = max(taken.peak_bytes for taken in found[count][name])
        return LockstepSpeed(quartiles(own), one, in_turn, peak_bytes, ways[count][name].how)

    return {count: {name: row(count, name) for name in named} for count, named in found.items()}


def lockstep_verdict(rows: LockstepSpeeds, model: str, device: str) -> TargetVerdict:
    """Compare the best way and number of members with the target of `benchmarks.packing`."""
    of_one = {Packed(name, count): row.of_one for count, named in rows.items() for name, row in named.items()}
    return packing_verdict(of_one, model, device)


def lockstep_lines(rows: LockstepSpeeds) -> Iterator[str]:
    """Format the rows as lines of text."""
    yield f"{'members':>7} {'':<10} {'images/s together':>26} {'of one':>24} {'of in turn':>24} {'GPU memory':>12}  how"
    for count, named in rows.items():
        for name, row in named.items():
            speed = quartile_cell(row.images_per_s, ",.0f")
            one, in_turn = (quartile_cell(ratio, ".3f") for ratio in (row.of_one, row.of_in_turn))
            memory = f"{row.peak_bytes / 2**20:,.0f} MiB" if row.peak_bytes else "-"
            yield f"{count:>7} {name:<10} {speed:>26} {one:>24} {in_turn:>24} {memory:>12}  {row.how}"
