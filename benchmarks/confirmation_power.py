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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy
from scipy import stats

from absgd.comparisons.block_variance import PriorVariance, search_spread
from absgd.comparisons.claim_rules import ClaimRules, Scores
from absgd.comparisons.contrasts import contrasts
from absgd.comparisons.look_claims import claims_at_look
from benchmarks.harness.command_line import at_least, command_parser, report_environment, write_json_report
from benchmarks.harness.marked_tables import with_tables
from benchmarks.simulated_confirmations import BETTER, DECIDING, EQUIVALENT, WORSE, Spread, Values, confirm

MARGIN = 0.5
LEVEL = 0.05
SEARCH_PAIRS, MAX_PAIRS = 4, 20
"""Pairs of the search, and of the confirmation."""
OTHER_FINALISTS = (4, 3)
"""Pairs of the search's finalists besides the subject, which has all."""
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

Draw = Callable[[np.random.Generator, int, int], Values]
"""(generator, scenarios, rivals) -> scores_SCP, on the pairs of the search and then those of the confirmation."""


def _zero(rivals: int) -> Values:
    return np.zeros(rivals)


def _noise(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
    return np.asarray(rng.normal(size=(scenarios, rivals + 1, SEARCH_PAIRS + MAX_PAIRS)) / np.sqrt(2))


class Case(NamedTuple):
    """Scores drawn under one condition, and what is true of them."""

    name: str
    draw: Draw
    true_R: Callable[[int], Values] = _zero
    """Rivals -> true differences."""
    unit: float = 1.0
    others: Draw = _noise
    """Draws the other configurations of the search."""
    search_share: float = 1.0
    """Variance on validation, where the search has seen it, over that on test."""
    is_beyond: bool = False
    """Whether more than 5 % of wrong claims are known and said."""


def _with_factor(noisy: slice) -> Draw:
    """Four times the variance for some candidates."""

    def draw(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
        scores_SCP = _noise(rng, scenarios, rivals)
        scores_SCP[:, noisy] *= 2
        return scores_SCP

    return draw


def _varied(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
    """Variances that differ as those of the twenty best configurations in the committed complete curves do."""
    factor_SC = 3 / rng.chisquare(3, size=(scenarios, rivals + 1))
    return _noise(rng, scenarios, rivals) * np.sqrt(factor_SC)[..., None]


def _collapsed(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
    scores_SCP = _noise(rng, scenarios, rivals)
    scores_SCP[:, 0, SEARCH_PAIRS - 1] -= 50
    return scores_SCP


def _heavy(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
    return np.asarray(rng.standard_t(3, size=(scenarios, rivals + 1, SEARCH_PAIRS + MAX_PAIRS)) / np.sqrt(6))


def _skewed(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
    return np.asarray((rng.exponential(size=(scenarios, rivals + 1, SEARCH_PAIRS + MAX_PAIRS)) - 1) / np.sqrt(2))


def _skewed_subject(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
    scores_SCP = _noise(rng, scenarios, rivals)
    scores_SCP[:, 0] = -_skewed(rng, scenarios, 0)[:, 0]
    return scores_SCP


def _tiny(images: int) -> Draw:
    """Accuracy on a test set that all pairs share: each image has its own chance of being right."""

    def draw(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
        easy_SI = rng.beta(4, 1, size=(scenarios, images))
        right_SCP = np.zeros((scenarios, rivals + 1, SEARCH_PAIRS + MAX_PAIRS))
        for image in range(images):
            right_SCP += rng.random(right_SCP.shape) < easy_SI[:, image, None, None]
        return right_SCP / images

    return draw


def _tiny_unit(images: int) -> float:
    return float(np.sqrt(2 * (4 / 30) / images))  # E p (1 - p) of beta(4, 1) is 4 / 30


def _lost(kind: str) -> Draw:
    """One run in ten diverges: any, or those with the lowest scores."""

    def draw(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
        scores_SCP = _noise(rng, scenarios, rivals)
        worst = scores_SCP < stats.norm.ppf(0.1) / np.sqrt(2)
        is_lost = rng.random(scores_SCP.shape) < 0.1 if kind == "any" else worst
        return np.where(is_lost, np.nan, scores_SCP)

    return draw


def _shifted(true_R: Callable[[int], Values]) -> Draw:
    def draw(rng: np.random.Generator, scenarios: int, rivals: int) -> Values:
        scores_SCP = _noise(rng, scenarios, rivals)
        scores_SCP[:, 1:] -= true_R(rivals)[:, None]
        return scores_SCP

    return draw


def _shifted_case(name: str, true_R: Callable[[int], Values]) -> Case:
    return Case(name, _shifted(true_R), true_R)


def cases() -> Iterator[Case]:
    """Yield the conditions under which wrong claims are counted."""
    yield Case("no difference, equal variances", _noise)
    yield Case("variance on validation 3/4 of that on test", _noise, search_share=0.75)
    yield Case("beyond: variance on validation half of that on test", _noise, search_share=0.5, is_beyond=True)
    yield Case("one finalist of the search collapsed on a pair", _noise, others=_collapsed)
    yield Case("variance x 4: subject", _with_factor(slice(0, 1)))
    yield Case("variance x 4: one rival", _with_factor(slice(1, 2)))
    yield Case("variance x 4: every other candidate", _with_factor(slice(1, None, 2)))
    yield Case("variances drawn, as of real configurations", _varied, others=_varied)
    yield Case("heavy tails (t, 3 df)", _heavy, others=_heavy)
    yield Case("skewed (exponential)", _skewed, others=_skewed)
    yield Case("skewed subject alone", _skewed_subject)
    for images in (50, 100):
        yield Case(f"test set of {images} images", _tiny(images), unit=_tiny_unit(images), others=_tiny(images))
    yield Case("a tenth of the runs diverged", _lost("any"), others=_lost("any"))
    yield Case("the lowest tenth diverged", _lost("lowest"), others=_lost("lowest"))
    yield _shifted_case("difference = margin", lambda rivals: np.full(rivals, MARGIN))
    yield _shifted_case("difference = -margin", lambda rivals: np.full(rivals, -MARGIN))
    yield _shifted_case("plain training 3 behind", lambda rivals: np.where(np.arange(rivals) == 0, 3.0, 0.0))
    yield _shifted_case("those that decide 1 behind", lambda rivals: np.where(np.arange(rivals) < 2, 1.0, 0.0))
    yield _shifted_case("those that decide 3 behind", lambda rivals: np.where(np.arange(rivals) < 2, 3.0, 0.0))


def are_wrong(finding_SR: npt.NDArray[np.int64], true_R: Values, margin: float) -> npt.NDArray[np.bool_]:
    """Return which claims are wrong."""
    is_wrong_SR: npt.NDArray[np.bool_] = (
        ((finding_SR == BETTER) & (true_R <= 0))
        | ((finding_SR == WORSE) & (true_R >= 0))
        | ((finding_SR == EQUIVALENT) & (np.abs(true_R) >= margin))
    )
    return is_wrong_SR


def over_scenarios(is_wrong_SR: npt.NDArray[np.bool_], scenarios: int) -> tuple[float, float]:
    """Return the probability of a wrong claim in any of several independent scenarios, and its Monte Carlo error."""
    once = float(is_wrong_SR.any(axis=1).mean())
    error = float(np.sqrt(max(once, 1 / len(is_wrong_SR)) * (1 - once) / len(is_wrong_SR)))
    return 1 - (1 - once) ** scenarios, scenarios * error


def drawn(case: Case, rng: np.random.Generator, scenarios: int, rivals: int) -> tuple[Values, Spread]:
    """Return the scores of the confirmations, and the spread that `absgd.comparisons.search_spread` finds before."""
    scores_SCP = case.draw(rng, scenarios, rivals)
    others_SCP = case.others(rng, scenarios, len(OTHER_FINALISTS) - 1)[:, :, :SEARCH_PAIRS].copy()
    for place, num_pairs in enumerate(OTHER_FINALISTS):
        others_SCP[:, place, num_pairs:] = np.nan
    own_SCP = scores_SCP[:, :2, :SEARCH_PAIRS]
    gains_SCP = np.concatenate([own_SCP[:, :1], others_SCP], axis=1) - own_SCP[:, 1:]
    found = [search_spread(_gains(gains_CP), "0") or PriorVariance(0.0, 0.0) for gains_CP in gains_SCP]
    variance_S, df_S = np.array(found, dtype=np.float64).T
    return scores_SCP[:, :, SEARCH_PAIRS:], Spread(case.search_share * variance_S, df_S)


def _gains(gains_CP: Values) -> Scores:
    """Return the gains of one scenario by configuration and pair."""
    return {
        str(place): {pair: float(gain) for pair, gain in enumerate(own_P) if np.isfinite(gain)}
        for place, own_P in enumerate(gains_CP)
    }


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
            scores_SCP, spread = drawn(Case("ahead", _noise), rng, repeats, rivals)
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
