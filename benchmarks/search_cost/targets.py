"""Every target of the search's cost, met or missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.peers import peer_name
from benchmarks.search_cost.compare import Measured, Repeat
from benchmarks.search_cost.counted import Counted

MOST_TO_IDEAL = 1.15
"""Wall time over the ideal."""
MOST_REGRET = 0.3
"""Points."""
LEAST_FEWER = {32: 8.0, 128: 10.0}
"""Number of trials -> how many times fewer epochs than each peer."""


class Verdict(NamedTuple):
    """A target, held against what was measured."""

    words: str
    is_met: bool
    reason: str = ""
    """Why it is missed, where that is known."""

    def __str__(self) -> str:
        verdict = f"{'met' if self.is_met else 'MISSED'}: {self.words}"
        return verdict if self.is_met or not self.reason else f"{verdict}: {self.reason}"


def targets(measured: Sequence[Measured], counted: Sequence[Counted]) -> Iterator[Verdict]:
    """Epochs measured, epochs and regret counted, then wall time."""
    for one in measured:
        yield from _of_epochs(one)
    for of in counted:
        if of.is_stopping:
            yield from _of_counted(of)
    for one in measured:
        yield _of_wall_time(one)


def _of_epochs(one: Measured) -> Iterator[Verdict]:
    if one.exact_epochs is not None:
        yield Verdict(f"{one.case}: {one.repeats[0].epochs} epochs, exactly {one.exact_epochs}", one.is_exact)
        return
    for plain in one.plain:
        yield from _fewer(str(one.case), one.case.num_trials, one.fewer(plain), peer_name(plain.clock))


def _of_counted(of: Counted) -> Iterator[Verdict]:
    kind = f"{of.num_trials} trials, switch {of.switch}, stopping on, {of.searches} replays"
    for peer in of.peers:
        yield from _fewer(kind, of.num_trials, peer.fewer, peer_name(peer.clock))
    if of.num_trials in LEAST_FEWER:
        words = f"{kind}: mean regret {of.regret:.2f} points, at most {MOST_REGRET}"
        yield Verdict(words, of.regret <= MOST_REGRET)


def _fewer(kind: str, num_trials: int, fewer: float, peer: str) -> Iterator[Verdict]:
    if (least := LEAST_FEWER.get(num_trials)) is not None:
        yield Verdict(f"{kind}: {fewer:.2f}x fewer epochs than {peer}, at least {least:g}x", fewer >= least)


def _of_wall_time(one: Measured) -> Verdict:
    ratio = one.median(lambda repeat: repeat.to_ideal)
    words = f"{one.case}: {ratio:.2f} times the ideal wall time, at most {MOST_TO_IDEAL}"
    return Verdict(words, ratio <= MOST_TO_IDEAL, _beyond_ideal(one))


def _beyond_ideal(one: Measured) -> str:
    """Where wall time beyond the ideal goes: medians over the repeats, in seconds."""
    parts: dict[str, Callable[[Repeat], float]] = {
        "start of process and Ray": lambda repeat: repeat.start_s,
        "start of the first worker": lambda repeat: repeat.worker_s,
        "end": lambda repeat: repeat.end_s,
        "a core waits for the trunk": lambda repeat: repeat.critical_s - repeat.ideal_s,
        "epochs slower than in the bare loop": lambda repeat: repeat.epochs_s - repeat.ideal_s,
    }
    excess = one.median(lambda repeat: repeat.wall_s - repeat.ideal_s)
    rest = one.median(lambda repeat: repeat.wall_s - repeat.ideal_s - sum(part(repeat) for part in parts.values()))
    listed = [f"{one.median(part):.1f} {name}" for name, part in parts.items()]
    return f"{excess:.1f} s more: " + ", ".join([*listed, f"{rest:.1f} trials besides their epochs and waiting"])
