"""Tables of the study in Markdown, from frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from absgd.comparisons import Finding
from analysis.wording.number_text import setting_text
from analysis.wording.titles import title_of_parameter
from benchmarks.study.scenario_means import ScenarioMean, bounds_words, scenario_mean, signed_points
from benchmarks.study.study_results import DATA_TITLES, StudyPart

METHODS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("plain", ("ce",)),
    ("plain, lr / abAlpha", ("ce-lr",)),
    ("plain, tuned", ("ce-tuned",)),
    ("deferred weights", ("cb-ce-drw-tuned",)),
    ("post-hoc adjustment", ("ce-posthoc-tuned",)),
    ("deferred LDAM", ("ldam-drw-tuned",)),
    ("balanced softmax", ("balanced-softmax-tuned",)),
    ("logit adjustment", ("logit-adjustment-tuned",)),
    ("focal", ("focal-tuned",)),
    ("own criterion", ("sce", "tce", "ldam")),
    ("own criterion, lr / abAlpha", ("sce-lr", "tce-lr", "ldam-lr")),
)
"""Title of a column -> the controls that it shows."""
MARKS: dict[Finding, str] = {"better": "+", "worse": "−", "equivalent": "=", "undecided": "?"}


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], num_text: int = 1) -> list[str]:
    """Return the lines of a table whose first columns are text and whose others are numbers."""
    line = [f"| {' | '.join(head)} |", f"|{'---|' * num_text}{'---:|' * (len(head) - num_text)}"]
    return [*line, *(f"| {' | '.join(row)} |" for row in rows)]


def method_table(parts: Sequence[StudyPart]) -> list[str]:
    """Return the table of one data set: a row for each scenario, a column for ABSGD and for each method."""
    rows = [_method_row(part) for part in parts]
    used = [place for place in range(len(METHODS) + 2) if place < 2 or any(row[place] for row in rows)]
    head = ["scenario", "ABSGD", *(title for title, _ in METHODS)]
    return markdown_table([head[place] for place in used], ([row[place] or " " for place in used] for row in rows))


def _method_row(part: StudyPart) -> list[str]:
    one = part.result
    if one is None or not one.is_confirmed:
        return [part.label, "not run" if one is None else "not confirmed", *("" for _ in METHODS)]
    known = one.runs.configurations
    confirmed = {str(row.configuration): row for _, row in known[known.basis == "confirmed"].iterrows()}
    findings = one.on_test.set_index("control").finding.to_dict()
    cells = [_cell(confirmed[one.winner.configuration])]
    for _, names in METHODS:
        own = [name for name in names if name in confirmed]
        cells.append(f"{_cell(confirmed[own[0]])} {MARKS[findings[own[0]]]}" if own and own[0] in findings else "")
    return [part.label, *cells]


def _cell(row: pd.Series[Any]) -> str:
    spread = "" if math.isnan(row.test_std) else f" ± {100 * row.test_std:.1f}"
    return f"{100 * row.test_mean:.1f}{spread} ({int(row.n)})"


def rate_table(frame: pd.DataFrame) -> list[str]:
    """Return the table of learning rates and weight decays, over the scenarios where a trial with them was completed.

    Args:
        frame: rows of `rate_frame`.
    """
    rows = []
    for _, own in frame.dropna(subset="best").groupby(["dataset", "lr", "weight_decay"], sort=True):
        gain = scenario_mean((own.best - own.plain).tolist())
        plain = scenario_mean(own.plain.tolist())
        first = own.iloc[0]
        about = [DATA_TITLES[first.dataset], setting_text(first.lr), setting_text(first.weight_decay)]
        rows.append([*about, str(len(own)), f"{plain.mean:.1f}", _points_cell(gain)])
    return markdown_table(
        ["data", "learning rate", "weight decay", "scenarios", "plain, %", "best trial ahead by, points"], rows
    )


def _points_cell(mean: ScenarioMean) -> str:
    if math.isnan(mean.mean):
        return "–"
    return f"{signed_points(mean.mean)}{bounds_words(mean.low, mean.high)}"


def importance_table(means: Sequence[tuple[str, ScenarioMean]]) -> list[str]:
    """Return the table of importances, from `importance_means`."""
    rows = []
    for name, mean in means:
        bounds = "–" if math.isnan(mean.low) else f"{max(mean.low, 0):.2f} to {min(mean.high, 1):.2f}"
        title = title_of_parameter(name).replace("sign of lam", "sign of lambda")
        rows.append([title, f"{mean.mean:.2f}", bounds, str(mean.num_scenarios)])
    return markdown_table(["setting", "mean importance", "95 % interval", "scenarios"], rows)


def cost_table(frame: pd.DataFrame) -> list[str]:
    """Return the table of epochs, a row for each search."""
    names = ["first_pair", "further_pairs", "tuned_controls", "confirmation", "trained", "plain"]
    rows = []
    for search, own in frame.groupby("search", sort=False):
        sums = [f"{int(own[name].sum()):,}" for name in names]
        rows.append([f"`{search}`", str(len(own)), *sums, f"{own.plain.sum() / own.trained.sum():.1f}"])
    head = ["search", "scenarios", "first pair", "further pairs", "tuned controls", "confirmation", "all", "plain way"]
    return markdown_table([*head, "times fewer"], rows)


def optimism_table(frame: pd.DataFrame) -> list[str]:
    """Return the table of scores of searches and of fresh pairs, a row for each scenario."""
    rows = []
    for _, row in frame.iterrows():
        gains = ["–" if math.isnan(one) else signed_points(one) for one in (row.gain, row.fresh_gain)]
        rows.append([str(row.title), f"{row.score:.1f}", f"{row.fresh:.1f}", signed_points(row.change), *gains])
    head = ["scenario", "score, %", "fresh pairs, %", "change", "gain in the search", "gain on fresh pairs"]
    return markdown_table(head, rows)
