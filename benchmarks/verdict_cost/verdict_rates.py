"""The share of right verdicts by each way, and the epochs of its fresh runs, by simulated confirmations."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from absgd.comparisons import ClaimRules
from absgd.config import RunConfig
from absgd.records import POINT, best_name
from benchmarks.verdict_cost.verdict_ways import Choice, Way
from tune_runs.confirmation.candidates import Candidate, with_controls
from tune_runs.confirmation.contests import Contest, contest_of, epochs_of_round
from tune_runs.confirmation.rounds import RoundRules, Rounds
from tune_runs.preview.simulated_rounds import simulated
from tune_runs.space.space_sections import ConfirmConfig, ControlName

FRESH_SEEDS = 3
"""Fresh seeds of the two ways that fix their number."""
CONTROLS: tuple[ControlName, ...] = ("ce", "ce-lr", "cb-ce-drw", "ldam-drw", "focal", "balanced-softmax")
DECIDING = slice(0, 2)
"""Those of CONTROLS that must be beaten."""
GAPS = (0.0, 1.0, 2.0, 4.0)
"""Distances of all controls below the winner, in standard deviations of a paired difference."""
NUM_SCENARIOS = 2
"""Scenarios of a space, which share the level of claims."""
LEVEL = 0.05


class SimulatedVerdicts(NamedTuple):
    """Simulated verdicts at one gap: the share that is right, and the mean epochs of the fresh runs."""

    right: float
    epochs: float


def contest(config: RunConfig) -> Contest:
    """Return a winner with the controls of this benchmark."""
    found = with_controls(Candidate(best_name(1), "winner", config), config.stage_one(), "scenario", CONTROLS)
    return contest_of(found.members)


def fixed_epochs(way: Way, one: Contest) -> int:
    """Return the epochs of winner and controls on the fresh seeds, where their number is fixed.

    The best three and the plain control of `before` are counted by its replayed search.
    """
    if way == "script":
        return FRESH_SEEDS * (1 + len(one.rivals)) * one.epochs
    every = (one.subject, *one.rivals)
    return FRESH_SEEDS * (epochs_of_round(one, every) - epochs_of_round(one, (one.subject, "ce")))


def fixed_verdicts(way: Way, gap: float, repetitions: int) -> float:
    """Return the share of right verdicts from paired t-tests on three seeds."""
    source = np.random.default_rng(0)
    noise_RSKP = source.normal(0, 0.5**0.5, (repetitions, NUM_SCENARIOS, 1 + len(CONTROLS), FRESH_SEEDS))
    differences_RSCP = gap + noise_RSKP[:, :, :1] - noise_RSKP[:, :, 1:]
    p_RSC = np.asarray(stats.ttest_1samp(differences_RSCP, 0.0, axis=-1).pvalue)
    is_ahead_RSC = differences_RSCP.mean(-1) > 0
    if way == "script":
        corrected_RSC = holm(p_RSC)
    else:
        over_all_RSC = holm(p_RSC.reshape(repetitions, -1)).reshape(p_RSC.shape)
        over_scenarios_RSC = np.moveaxis(holm(np.moveaxis(p_RSC, 1, 2)), 2, 1)
        must_beat_C = np.arange(len(CONTROLS)) < DECIDING.stop
        corrected_RSC = np.where(must_beat_C & is_ahead_RSC, over_scenarios_RSC, over_all_RSC)
    found_RSC = corrected_RSC < LEVEL
    if gap == 0:
        return float((~found_RSC.any(-1)).mean())
    is_right_RS = (found_RSC & is_ahead_RSC)[..., DECIDING].all(-1) & ~(found_RSC & ~is_ahead_RSC).any(-1)
    return float(is_right_RS.mean())


def holm(p_values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Correct p-values along the last axis."""
    order = p_values.argsort(-1)
    num = p_values.shape[-1]
    steps = np.maximum.accumulate(np.take_along_axis(p_values, order, -1) * np.arange(num, 0, -1), -1)
    corrected = np.empty_like(steps)
    np.put_along_axis(corrected, order, np.minimum(steps, 1), -1)
    return corrected


def sequential_verdicts(
    configs: Sequence[RunConfig], choices: Sequence[Choice], std: float, gap: float, repetitions: int
) -> SimulatedVerdicts:
    """Simulate confirmations pair by pair; the winners of the searches take turns."""
    config = ConfirmConfig()
    claims = ClaimRules(config.margin * POINT, LEVEL, NUM_SCENARIOS)
    source = random.Random(0)
    contests = {one.number: contest(configs[one.number]) for one in choices}
    ended = []
    for repetition in range(repetitions):
        choice = choices[repetition % len(choices)]
        rules = RoundRules(claims, config.max_pairs, None, choice.prior)
        gaps = dict.fromkeys(contests[choice.number].rivals, gap)
        rounds = simulated(contests[choice.number], rules, gaps, std, source)
        ended.append((_is_right(rounds, contests[choice.number], gap, std), rounds.epochs))
    return SimulatedVerdicts(
        statistics.fmean(right for right, _ in ended), statistics.fmean(epochs for _, epochs in ended)
    )


def _is_right(rounds: Rounds, one: Contest, gap: float, std: float) -> bool:
    findings = {rival: look.comparison.finding for rival, look in rounds.last().items()}
    wrong = {"better", "worse"} if gap == 0 else {"worse"}
    if gap * std > ConfirmConfig().margin * POINT:
        wrong.add("equivalent")
    if wrong & set(findings.values()):
        return False
    return gap == 0 or all(findings.get(rival) == "better" for rival in one.deciding)
