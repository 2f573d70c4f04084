"""How often does a confirmation claim something wrong, and how often does it find a true difference?

    python -m benchmarks.confirmation_power [--scenarios 5000] [--quick] [--page FILE] [--json FILE]

Simulated scores go through the decisions of a search (`absgd.comparisons`). Unit: the standard deviation of the
difference of two candidates on one pair, if all have equal noise; the margin is half of it. A search over four pairs
has seen the subject and one rival on all of them, and two others, with noise of the same kind; its spread counts.
A confirmation is trained pair by pair, with a look after each: plain training first, then what waits for it, then what
waits for both (`benchmarks.simulated_confirmations`). A rival leaves when there is a claim about it, or when it cannot
win and does not decide the verdict; a rival that makes the subject worse ends the scenario.

The first table has the probability that anything claimed about any rival of any scenario is wrong, in percent, with its
Monte Carlo error: by the 8th pair, by the 20th, and for one look after 3 and after 5 pairs. It must be at most 5, but
for a condition named as beyond what is promised. The other tables have the probability that a rival is found to be
worse than the subject, all rivals being so by the given difference: for one look after n pairs; in the same runs for
Student's paired t with Holm's correction over all comparisons; and by the n-th pair of a sequence, for plain training
and for it at both learning rates, with the mean number of pairs of plain training, of it at the raised rate, and of all
rivals.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy
from scipy import stats

from absgd.comparisons import ClaimRules
from absgd.comparisons.contrasts import contrasts
from absgd.comparisons.look_claims import claims_at_look
from benchmarks.confirmation_power.score_cases import MARGIN, MAX_PAIRS, Case, cases, drawn, noise
from benchmarks.harness.command_line import at_least, command_parser, report_environment, write_json_report
from benchmarks.harness.marked_tables import with_tables
from benchmarks.simulated_confirmations import BETTER, DECIDING, Values, are_wrong, confirm

LEVEL = 0.05
FIXED = (3, 5)
"""Pairs of single looks whose error is counted."""
SHAPES = ((6, 8), (1, 8), (1, 2))
"""Scenarios and rivals of each."""
DIFFERENCES = (0.5, 1.0, 2.0, 3.0)
NUM_PAIRS = (3, 4, 5, 6, 8, 10)
SEQUENCE = (2, 3, 4, 5, 6, 8, 12, 20)
BOTH = (4, 8, 12)
"""Pairs after which both claims that decide the verdict are counted."""
MOST = 12
"""Most pairs, where their mean number is counted."""
MEAN_PAIRS = ("pairs, ce", "pairs, ce-lr", "pairs, all")
ERRORS = ("by 8", "by 20", "at 3", "at 5")
"""Columns of the rates of wrong claims."""


def over_scenarios(is_wrong_SR: npt.NDArray[np.bool_], scenarios: int) -> tuple[float, float]:
    """Return the probability of a wrong claim in any of several independent scenarios, and its Monte Carlo error."""
    once = float(is_wrong_SR.any(axis=1).mean())
    error = float(np.sqrt(max(once, 1 / len(is_wrong_SR)) * (1 - once) / len(is_wrong_SR)))
    return 1 - (1 - once) ** scenarios, scenarios * error


def one_look(scores_SCP: Values, rules: ClaimRules, pairs: int) -> npt.NDArray[np.int64]:
    """Return the findings of a single look after some pairs."""
    found = contrasts(scores_SCP[:, :, :pairs])
    return claims_at_look(found, np.ones(found.n_SR.shape, dtype=np.bool_), rules, None).finding_SR


def error_rows(repeats: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield the probability of a wrong claim under each condition."""
    for scenarios, rivals in SHAPES:
        for case in cases():
            margin = MARGIN * case.unit
            rules = ClaimRules(margin, LEVEL, scenarios)
            scores_SCP, spread = drawn(case, rng, repeats, rivals)
            outcome = confirm(scores_SCP, spread, rules, MAX_PAIRS)
            true_R = case.true_R(rivals)
            is_wrong_SR = are_wrong(outcome.finding_SR, true_R, margin)
            row: dict[str, Any] = {
                "scenarios": scenarios,
                "rivals": rivals,
                "case": case.name,
                "beyond": case.is_beyond,
            }
            for last in (8, MAX_PAIRS):
                by_then_SR = is_wrong_SR & (outcome.look_SR <= last)
                row[f"by {last}"], row[f"by {last} error"] = over_scenarios(by_then_SR, scenarios)
            for pairs in FIXED:
                fixed_SR = are_wrong(one_look(scores_SCP, rules, pairs), true_R, margin)
                row[f"at {pairs}"], row[f"at {pairs} error"] = over_scenarios(fixed_SR, scenarios)
            yield row


def paired_t_holm(scores_SCP: Values, scenarios: int) -> float:
    """Return how often Student's paired t finds the subject better, by Holm over all comparisons of the scenarios."""
    usable = len(scores_SCP) // scenarios * scenarios
    result = stats.ttest_1samp(scores_SCP[:usable, :1] - scores_SCP[:usable, 1:], 0.0, axis=2)
    p_SM = result.pvalue.reshape(usable // scenarios, -1)
    sorted_SM = np.sort(p_SM, axis=1)
    tests = p_SM.shape[1]
    is_above_SM = sorted_SM >= LEVEL / (tests - np.arange(tests))
    count_S = np.where(is_above_SM.any(axis=1), is_above_SM.argmax(axis=1), tests)
    return float(count_S.mean() / tests)


def power_rows(repeats: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield the probability that a rival is found to be worse than the subject, by difference."""
    for scenarios, rivals in SHAPES:
        rules = ClaimRules(MARGIN, LEVEL, scenarios)
        for difference in DIFFERENCES:
            scores_SCP, spread = drawn(Case("ahead", noise), rng, repeats, rivals)
            scores_SCP[:, 0] += difference
            row: dict[str, Any] = {"scenarios": scenarios, "rivals": rivals, "difference": difference}
            for pairs in NUM_PAIRS:
                row[f"one look, {pairs}"] = float((one_look(scores_SCP, rules, pairs) == BETTER).mean())
                row[f"paired t, {pairs}"] = paired_t_holm(scores_SCP[:, :, :pairs], scenarios)
            outcome = confirm(scores_SCP, spread, rules, MAX_PAIRS)
            for last in (*SEQUENCE, *BOTH):
                is_found_SR = (outcome.finding_SR == BETTER) & (outcome.look_SR <= last)
                row[f"by {last}"] = float(is_found_SR[:, DECIDING[0]].mean())
                row[f"both by {last}"] = float(is_found_SR[:, DECIDING].all(axis=1).mean())
            pairs_R = np.minimum(outcome.pairs_SR, MOST).mean(axis=0)
            plain, raised = (float(pairs_R[place]) for place in DECIDING)
            row |= dict(zip(MEAN_PAIRS, (plain, raised, float(pairs_R.mean())), strict=True))
            yield row


def tables_of(errors: list[dict[str, Any]], power: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the tables as lines of Markdown."""
    return {
        "wrong claims": [
            "| scenarios x controls | condition | by 8 pairs | by 20 | one look at 3 | one look at 5 |",
            "|---|---|---:|---:|---:|---:|",
            *(_line(row, row["case"], [_rate(row, name) for name in ERRORS]) for row in errors),
        ],
        "one look": [
            *_head([str(count) for count in NUM_PAIRS]),
            *(_line(row, f"{row['difference']:g}", [_beside_t(row, count) for count in NUM_PAIRS]) for row in power),
        ],
        "pair by pair": [
            *_head([f"by {count}" for count in SEQUENCE] + [f"both by {count}" for count in BOTH] + list(MEAN_PAIRS)),
            *(_line(row, f"{row['difference']:g}", _sequence(row)) for row in power),
        ],
    }


def _head(columns: list[str]) -> list[str]:
    return [f"| scenarios x controls | difference | {' | '.join(columns)} |", f"|---|---:|{'---:|' * len(columns)}"]


def _line(row: dict[str, Any], about: str, cells: list[str]) -> str:
    return f"| {row['scenarios']} x {row['rivals']} | {about} | {' | '.join(cells)} |"


def _rate(row: dict[str, Any], name: str) -> str:
    return f"{100 * row[name]:.1f} ± {100 * row[f'{name} error']:.1f}"


def _beside_t(row: dict[str, Any], count: int) -> str:
    return f"{100 * row[f'one look, {count}']:.0f} % ({100 * row[f'paired t, {count}']:.0f} %)"


def _sequence(row: dict[str, Any]) -> list[str]:
    shares = [f"by {count}" for count in SEQUENCE] + [f"both by {count}" for count in BOTH]
    return [f"{100 * row[name]:.0f} %" for name in shares] + [f"{row[name]:.1f}" for name in MEAN_PAIRS]


def main() -> int:
    """Run the simulation; exit status 1 where an error rate exceeds 5 % by more than two Monte Carlo errors."""
    parser = command_parser("benchmarks.confirmation_power", __doc__)
    parser.add_argument("--scenarios", type=at_least(100), default=5_000, help="simulated scenarios of each case")
    parser.add_argument("--quick", action="store_true", help="a tenth of them")
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--page", type=Path, help="page of Markdown whose tables are replaced")
    parser.add_argument("--json", type=Path)
    options: argparse.Namespace = parser.parse_args()
    repeats = options.scenarios // 10 if options.quick else options.scenarios
    started = time.perf_counter()
    rng = np.random.default_rng(options.seed)
    errors, power = list(error_rows(repeats, rng)), list(power_rows(repeats // 2, rng))
    tables = tables_of(errors, power)
    for lines in tables.values():
        print("\n".join((*lines, "")))
    if options.page:
        options.page.write_text(with_tables(options.page.read_text(), tables))
    promised = [row for row in errors if not row["beyond"]]
    too_high = [row for row in promised for name in ERRORS if row[name] > LEVEL + 2 * row[f"{name} error"]]
    worst = max(row[name] for row in promised for name in ERRORS)
    wall_s = time.perf_counter() - started
    print(f"\nLargest error rate: {100 * worst:.1f} %; {repeats:,} scenarios of each case, {wall_s:.0f} s.")
    report = {
        **report_environment(parser.prog),
        "scipy": scipy.__version__,
        "numpy": np.__version__,
        "simulated_scenarios": repeats,
        "wall_s": wall_s,
        "errors": errors,
        "power": power,
    }
    write_json_report(options.json, report)
    return 1 if too_high else 0


if __name__ == "__main__":
    sys.exit(main())
