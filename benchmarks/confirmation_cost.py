"""What does the confirmation of a search train, and how often does it end with the right verdict?

    python -m benchmarks.confirmation_cost [--space cifar100] [--simulations 500] [--pairs 8 12] [--page FILE]

Simulated test scores go through the decisions of a real confirmation (`tune_runs.confirmation.rounds`), with the runs,
forks and controls of a space. The configuration is ahead of each of its controls by the same number of standard
deviations of a paired difference, 1 point each; in the last case these numbers are themselves normal with a standard
deviation of 2, as `--preview` assumes. The spread known from the search is that of simulated finalists.

`right` is the probability that the configuration is found better than both controls that decide (`ce`, `ce-lr`), or,
in the last case, better than each of them that it leads, and never worse than one of those; `wrong` that of a wrong
claim about any control; `a rival` that of a claim about a control that decides. The peers are a careful script, with
eight seeds of the configuration and of eight controls, each run from scratch, and Student's paired t with Holm's
correction over all comparisons of all scenarios; and the version before, with three seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

import numpy as np
from scipy import stats

from absgd.comparisons import PriorVariance, search_spread
from absgd.comparisons.look_claims import FINDINGS
from benchmarks.harness.command_line import at_least, command_parser, report_environment, write_json_report
from benchmarks.harness.marked_tables import with_tables
from benchmarks.simulated_confirmations import are_wrong
from tune_runs.confirmation.contests import Contest, epochs_of_round
from tune_runs.confirmation.rounds import RoundRules, Rounds, epochs_of_candidates
from tune_runs.preview.confirm_cost import SPREAD, likely_contest, simulated_rules
from tune_runs.preview.simulated_rounds import simulated
from tune_runs.request.space_files import load_space
from tune_runs.trunks.scenario_plan import plan_scenarios

GAPS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)
"""Leads of the configuration over each control, in standard deviations of a paired difference."""
GAP_STD = 2.0
"""Standard deviation of the leads in the last case."""
FINALISTS = (4, 4, 3)
"""Pairs on which a search over four has trained its finalists, that which it chose first."""
SCRIPT_PAIRS, SCRIPT_RUNS, EARLIER_PAIRS = 8, 9, 3
LEVEL = 0.05


def confirmation_rows(
    contest: Contest, rules: RoundRules, pairs: Sequence[int], num: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yield cost and verdicts of each case and bound on pairs."""
    for gap in (*GAPS, None):
        for most in pairs:
            own = dataclasses.replace(rules, max_pairs=most)
            source = random.Random(f"{seed} {gap}")
            found = [_one(contest, own, gap, source) for _ in range(num)]
            epochs = [sum(epochs_of_candidates(contest, rounds).values()) for rounds, _ in found]
            yield {
                "gap": gap,
                "max_pairs": most,
                "epochs": fmean(epochs),
                "epochs 90 %": quantiles(epochs, n=10)[-1],
                "pairs": fmean(len(rounds.looks) for rounds, _ in found),
                "right": fmean(_is_right(contest, rounds, gaps) for rounds, gaps in found),
                "a rival": fmean(_found_share(contest, rounds) for rounds, _ in found),
                "wrong": fmean(_is_wrong(rounds, gaps, own.claims.margin / SPREAD) for rounds, gaps in found),
                "never again": fmean(_left_share(contest, rounds) for rounds, _ in found),
            }


def _one(
    contest: Contest, rules: RoundRules, gap: float | None, source: random.Random
) -> tuple[Rounds, dict[str, float]]:
    gaps = {rival: source.gauss(0, GAP_STD) if gap is None else gap for rival in contest.rivals}
    return simulated(contest, dataclasses.replace(rules, prior=_drawn(rules.prior, source)), gaps, SPREAD, source), gaps


def _drawn(prior: PriorVariance | None, source: random.Random) -> PriorVariance | None:
    """Return a spread as `absgd.comparisons.search_spread` finds it in a search with three finalists."""
    if prior is None:
        return None
    noise = (prior.variance / 2) ** 0.5
    control = [source.gauss(0, noise) for _ in range(max(FINALISTS))]
    gains = {
        str(place): {pair: source.gauss(0, noise) - control[pair] for pair in range(num_pairs)}
        for place, num_pairs in enumerate(FINALISTS)
    }
    return search_spread(gains, "0")


def _is_right(contest: Contest, rounds: Rounds, gaps: dict[str, float]) -> bool:
    last = rounds.last()
    findings = {name: last[name].comparison.finding for name in contest.deciding if name in last}
    led = [name for name in contest.deciding if gaps[name] > 0]
    behind = [name for name in contest.deciding if gaps[name] < 0]
    if behind:
        return any(findings.get(name) == "worse" for name in behind)
    return bool(led) and all(findings.get(name) == "better" for name in led)


def _is_wrong(rounds: Rounds, gaps: dict[str, float], margin: float) -> bool:
    """Whether anything claimed is wrong."""
    last = rounds.last()
    finding_1R = np.array([[FINDINGS.index(one.comparison.finding) for one in last.values()]], dtype=np.int64)
    return bool(are_wrong(finding_1R, np.array([gaps[name] for name in last]), margin).any())


def _found_share(contest: Contest, rounds: Rounds) -> float:
    last = rounds.last()
    return fmean(name in last and last[name].comparison.finding != "undecided" for name in contest.deciding)


def _left_share(contest: Contest, rounds: Rounds) -> float:
    """Return the share of the other controls that left because they cannot win."""
    others = [name for name in contest.rivals if name not in contest.deciding]
    return fmean(rounds.last()[name].left == "cannot win" for name in others) if others else 0.0


def paired_t_power(gap: float, pairs: int, comparisons: int, num: int, seed: int) -> float:
    """Return the power of Student's paired t for one comparison at the level that Holm leaves to the first."""
    rng = np.random.default_rng(seed)
    differences = rng.normal(gap, 1, size=(num, pairs))
    p_values = stats.ttest_1samp(differences, 0, axis=1).pvalue
    return float((p_values < LEVEL / comparisons).mean())


def peer_rows(contest: Contest, num_scenarios: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield cost and power of the peers."""
    comparisons = num_scenarios * (SCRIPT_RUNS - 1)
    for name, pairs, epochs in (
        ("careful script", SCRIPT_PAIRS, SCRIPT_PAIRS * SCRIPT_RUNS * contest.epochs),
        ("version before", EARLIER_PAIRS, EARLIER_PAIRS * _earlier_epochs(contest)),
    ):
        power = {gap: paired_t_power(gap, pairs, comparisons, 20_000, seed) for gap in GAPS[1:]}
        yield {"peer": name, "epochs": epochs, "power": power}


def cost_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the rows of `confirmation_rows` as lines of Markdown."""
    lines = [
        "| ahead by | at most, pairs | epochs | 90 % below | pairs | a rival | right | wrong | cannot win |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        gap = f"normal, {GAP_STD:g}" if row["gap"] is None else f"{row['gap']:g}"
        shares = [f"{100 * row[name]:.0f} %" for name in ("a rival", "right")]
        shares += [f"{100 * row['wrong']:.1f} %", f"{100 * row['never again']:.0f} %"]
        epochs = f"{row['epochs']:,.0f} | {row['epochs 90 %']:,.0f}"
        lines.append(f"| {gap} | {row['max_pairs']} | {epochs} | {row['pairs']:.1f} | {' | '.join(shares)} |")
    return lines


def peer_table(peers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the rows of `peer_rows` as lines of Markdown."""
    heads = " | ".join(f"ahead by {gap:g}" for gap in GAPS[1:])
    lines = [f"| peer | epochs | {heads} |", f"|---|---:|{'---:|' * len(GAPS[1:])}"]
    for peer in peers:
        shares = " | ".join(f"{100 * one:.0f} %" for one in peer["power"].values())
        lines.append(f"| {peer['peer']} | {peer['epochs']:,} | {shares} |")
    return lines


def main() -> int:
    """Simulate and print two tables."""
    parser = command_parser("benchmarks.confirmation_cost", __doc__)
    parser.add_argument("--space", default="cifar100", help="space file, or name of a shipped one")
    parser.add_argument("--simulations", type=at_least(20), default=500)
    parser.add_argument("--pairs", type=at_least(1), nargs="+", default=[8, 12])
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--page", type=Path, help="page of Markdown whose tables are replaced")
    parser.add_argument("--json", type=Path)
    options: argparse.Namespace = parser.parse_args()
    started = time.perf_counter()
    space = load_space(options.space)
    contest = likely_contest(space, next(iter(plan_scenarios(space).values())))
    rows = list(confirmation_rows(contest, simulated_rules(space), options.pairs, options.simulations, options.seed))
    peers = list(peer_rows(contest, len(space.scenarios), options.seed))
    tables = {"cost": cost_table(rows), "peers": peer_table(peers)}
    for lines in tables.values():
        print("\n".join((*lines, "")))
    if options.page:
        options.page.write_text(with_tables(options.page.read_text(), tables))
    wall_s = time.perf_counter() - started
    print(f"{options.simulations} simulations of each case, {wall_s:.0f} s.")
    report = {**report_environment(parser.prog), "wall_s": wall_s, "confirmations": rows, "peers": peers}
    write_json_report(options.json, report)
    return 0


def _earlier_epochs(contest: Contest) -> int:
    """Return the epochs of one pair of the version before: three configurations with the controls of one."""
    fork = contest.forks.get(contest.subject)
    return epochs_of_round(contest, (contest.subject, *contest.rivals)) + 2 * (
        contest.epochs - (fork.epochs if fork else 0)
    )


if __name__ == "__main__":
    sys.exit(main())
