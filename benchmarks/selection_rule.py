"""Which selection rule best predicts a configuration's mean over fresh seeds?

    python -m benchmarks.selection_rule [--curves FILE] [--draws 200] [--json FILE]

The curves are those of `benchmarks.train_curves`: 48 configurations, complete, for each scenario and seed. Each rule
reads a score off each validation curve of one seed (`analysis.frames.selection`, as in a report). The truth is the
configuration's mean over the *other* seeds, which have other images and another order: at the last epoch, where a
confirmed run reads the test set, and separately over the last five epochs, which does not favour the rule `last`.
Per scenario and seed:

- rank: Spearman's correlation of score and truth over all configurations, 0 where all score the same;
- error: root mean square of score minus truth, in points;
- bias: mean of score minus truth, in points; above zero is optimistic;
- regret: among 16 configurations drawn at random, the best truth minus the truth of the one with the best score, in
  points; mean over samples, which are the same for every rule;
- optimism: the best score of the 16 minus its truth, in points.

The tables have means over scenarios, ± the standard deviation over seeds; `rank vs. last` and `regret vs. last` are
differences to the rule `last`, paired by seed, with 95 % intervals (Student's t).
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from scipy.stats import spearmanr, ttest_1samp

from absgd import records
from analysis.frames.selection import SelectionRule, with_scores
from analysis.frames.typed_frames import to_frame
from benchmarks.complete_curves.curve_sets import CHOSEN_ON
from benchmarks.complete_curves.curve_tables import CONTROL
from benchmarks.harness.command_line import at_least, command_parser, report_environment, write_json_report

METRIC = records.DEFAULT_METRIC
SAMPLE = 16
RULES = (
    SelectionRule("last"),
    *(SelectionRule("mean_last_k", k) for k in (2, 3, 5, 10)),
    SelectionRule("chosen"),
)
Truth = Literal["last epoch", "mean of the last 5 epochs"]
TRUTHS: dict[Truth, SelectionRule] = {
    "last epoch": SelectionRule("last"),
    "mean of the last 5 epochs": SelectionRule("mean_last_k", 5),
}
MEASURES = ("rank", "error", "bias", "regret", "optimism")


def curve_scores(curves: pd.DataFrame, rule: SelectionRule) -> pd.Series[float]:
    """Return the score of every complete curve, by scenario, seed and number."""
    keys = ["scenario", "seed", "number"]
    whole = curves.groupby("scenario").epoch.transform("max") + 1
    own = curves.assign(length=curves.groupby(keys).epoch.transform("size"), trial_id="")
    own = own[(own.length == whole) & (own.number != CONTROL)].sort_values([*keys, "epoch"])
    own["trial_id"] = own.seed.astype(str) + "/" + own.number.astype(str)
    names = [name for name in records.EPOCH_SCHEMA.names if name in own.columns]
    epochs = to_frame(records.as_table(records.EPOCH_SCHEMA, _rows(own[names])), records.EPOCH_SCHEMA)
    epochs.insert(0, "folder", epochs.scenario)
    rows = [
        {"scenario": key[0], "trial_id": f"{key[1]}/{key[2]}", "status": "completed", "phase": "search",
         **records.summary_columns([{**row, records.INHERITED: False} for row in _rows(curve)], METRIC)}
        for key, curve in own.groupby(keys)
    ]  # fmt: skip
    trials = to_frame(records.as_table(records.TRIAL_SCHEMA, rows))
    trials.insert(0, "folder", trials.scenario)
    index = pd.MultiIndex.from_tuples([key for key, _ in own.groupby(keys)], names=keys)
    return pd.Series(with_scores(trials, epochs, rule).score.to_numpy(), index=index)


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def compare_rules(curves: pd.DataFrame, draws: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each rule, truth, scenario and seed."""
    truths = {name: curve_scores(curves, rule) for name, rule in TRUTHS.items()}
    by_rule = {rule.title: curve_scores(curves, rule) for rule in RULES}
    cells = curves[["scenario", "seed"]].drop_duplicates().itertuples(index=False, name=None)
    for scenario, seed in cells:
        for truth_name, truth in truths.items():
            elsewhere = truth.xs(scenario, level="scenario").drop(seed, level="seed").groupby("number").mean()
            for rule, score in by_rule.items():
                own = score.xs((scenario, seed), level=("scenario", "seed"))
                found = rule_errors(own, elsewhere, random.Random(f"{scenario} {seed}"), draws)
                yield {"scenario": scenario, "seed": seed, "truth": truth_name, "rule": rule, **found}


def rule_errors(
    score: pd.Series[float], truth: pd.Series[float], source: random.Random, draws: int
) -> dict[str, float]:
    """Return how well scores of one seed predict means over the others.

    Args:
        score: of each configuration under a rule, on one seed.
        truth: mean of each configuration over the other seeds.
        source: draws the samples.
        draws: number of samples.
    """
    both = pd.DataFrame({"score": score, "truth": truth}).dropna()
    gap = (both.score - both.truth).tolist()
    regrets, optimism = [], []
    numbers = both.index.tolist()
    for _ in range(draws):
        tried = both.loc[source.sample(numbers, min(SAMPLE, len(numbers)))]
        kept = tried.iloc[int(tried.score.to_numpy().argmax())]
        regrets.append(float(tried.truth.max() - kept.truth))
        optimism.append(float(kept.score - kept.truth))
    return {
        "rank": 0.0 if len(set(both.score)) == 1 else float(spearmanr(both.score, both.truth).statistic),
        "error": 100 * statistics.fmean(value**2 for value in gap) ** 0.5,
        "bias": 100 * statistics.fmean(gap),
        "regret": 100 * statistics.fmean(regrets),
        "optimism": 100 * statistics.fmean(optimism),
    }


def selection_table(rows: pd.DataFrame, truth: Truth) -> str:
    """Format one truth as Markdown: means over scenarios, ± over seeds, and paired differences to the rule `last`."""
    own = rows[rows.truth == truth]
    by_seed = own.groupby(["rule", "seed"])[list(MEASURES)].mean()
    heads = ["rule", *MEASURES, "rank vs. last", "regret vs. last"]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for rule in RULES:
        values = by_seed.loc[rule.title]
        cells = [_spread(values[name].tolist(), name) for name in MEASURES]
        cells += [_difference_to_last(by_seed, rule.title, name) for name in ("rank", "regret")]
        lines.append(f"| {rule.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spread(values: list[float], name: str) -> str:
    digits = 3 if name == "rank" else 2
    sign = "+" if name in ("bias", "optimism") else ""
    return f"{statistics.fmean(values):{sign}.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def _difference_to_last(by_seed: pd.DataFrame, rule: str, name: str) -> str:
    if rule == RULES[0].title:
        return ""
    differences = by_seed.loc[rule][name] - by_seed.loc[RULES[0].title][name]
    low, high = ttest_1samp(differences, 0.0).confidence_interval(0.95)
    digits = 3 if name == "rank" else 2
    return f"{differences.mean():+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def main() -> None:
    """Compare the rules, print and write the report."""
    parser = command_parser("benchmarks.selection_rule", __doc__)
    parser.add_argument("--curves", type=Path, default=CHOSEN_ON.folder / "curves.parquet")
    parser.add_argument("--draws", type=at_least(1), default=200, help="samples of 16 configurations")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    curves = pd.read_parquet(options.curves)
    rows = pd.DataFrame(compare_rules(curves, options.draws))
    for truth in TRUTHS:
        print(f"\ntruth: {truth}, mean over the other seeds\n\n{selection_table(rows, truth)}")
    report = {**report_environment(parser.prog), "rows": rows.round(6).to_dict("records")}
    write_json_report(options.json, report, indent=1)


if __name__ == "__main__":
    main()
