"""Every target of the cost of a search, met or missed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence

from benchmarks.complete_curves.plain_asha import plain_search_name
from benchmarks.harness.target_verdicts import TargetVerdict
from benchmarks.search_cost.case_results import CaseResult, CommandRepeat
from benchmarks.search_cost.replayed_costs import ReplayedCost

MOST_TO_IDEAL = 1.3
"""Largest accepted wall time over the ideal."""
MOST_REGRET = 0.3
"""Largest accepted mean regret, in points."""
LEAST_FASTER = 5.0
"""Least wall time of the plain script over ours on Fashion-MNIST with stopping."""
LEAST_FEWER = {32: 8.0, 128: 10.0}
"""Number of trials -> least epochs of each peer over ours."""


def cost_verdicts(measured: Sequence[CaseResult], counted: Sequence[ReplayedCost]) -> Iterator[TargetVerdict]:
    """Compare measured epochs, replayed epochs and regret, then wall times with their targets."""
    for one in measured:
        yield from _epoch_verdicts(one)
    for of in counted:
        if of.is_stopping:
            yield from _replay_verdicts(of)
    for one in measured:
        yield _wall_time_verdict(one)
        if one.case.switch == "fashion" and one.case.is_stopping:
            yield from _faster_verdicts(one)


def _epoch_verdicts(one: CaseResult) -> Iterator[TargetVerdict]:
    if one.exact_epochs is not None:
        yield TargetVerdict(one.is_exact, f"{one.case}: {one.repeats[0].epochs} epochs, exactly {one.exact_epochs}")
    elif one.case.switch != "fashion":  # whose target is a wall time
        for plain in one.plain:
            peer = plain_search_name(plain.clock)
            yield from _fewer_verdict(str(one.case), one.case.num_trials, one.fewer(plain), peer)


def _replay_verdicts(of: ReplayedCost) -> Iterator[TargetVerdict]:
    kind = f"{of.num_trials} trials, switch {of.switch}, stopping on, {of.searches} replays"
    for peer in of.peers:
        yield from _fewer_verdict(kind, of.num_trials, peer.fewer, plain_search_name(peer.clock))
    if of.num_trials in LEAST_FEWER:
        words = f"{kind}: mean regret {of.regret:.2f} points, at most {MOST_REGRET}"
        yield TargetVerdict(of.regret <= MOST_REGRET, words)


def _fewer_verdict(kind: str, num_trials: int, fewer: float, peer: str) -> Iterator[TargetVerdict]:
    if (least := LEAST_FEWER.get(num_trials)) is not None:
        words = f"{kind}: {fewer:.2f}x fewer epochs than {peer}, at least {least:g}x"
        yield TargetVerdict(fewer >= least, words)


def _faster_verdicts(one: CaseResult) -> Iterator[TargetVerdict]:
    ours_s = one.median(lambda repeat: repeat.wall_s)
    for plain in one.plain:
        faster = statistics.median(plain.wall_s) / ours_s
        words = f"{one.case}: {faster:.2f}x as fast as {plain_search_name(plain.clock)}, at least {LEAST_FASTER:g}x"
        yield TargetVerdict(faster >= LEAST_FASTER, words)


def _wall_time_verdict(one: CaseResult) -> TargetVerdict:
    ratio = one.median(lambda repeat: repeat.to_ideal)
    words = f"{one.case}: {ratio:.2f} times the ideal wall time, at most {MOST_TO_IDEAL}"
    return TargetVerdict(ratio <= MOST_TO_IDEAL, words, _beyond_ideal(one))


def _beyond_ideal(one: CaseResult) -> str:
    """Say where wall time beyond the ideal goes: medians over the repeats, in seconds."""
    parts: dict[str, Callable[[CommandRepeat], float]] = {
        "start of process and Ray": lambda repeat: repeat.start_s,
        "the first run besides its epochs": lambda repeat: repeat.worker_s,
        "end": lambda repeat: repeat.end_s,
        "a core waits for the trunk": lambda repeat: repeat.critical_s - repeat.ideal_s,
        "epochs slower than in the bare loop": lambda repeat: repeat.epochs_s - repeat.ideal_s,
    }
    excess = one.median(lambda repeat: repeat.wall_s - repeat.ideal_s)
    rest = one.median(lambda repeat: repeat.wall_s - repeat.ideal_s - sum(part(repeat) for part in parts.values()))
    listed = [f"{one.median(part):.1f} {name}" for name, part in parts.items()]
    return f"{excess:.1f} s more: " + ", ".join([*listed, f"{rest:.1f} trials besides their epochs and waiting"])
