"""The results of a confirmation as a table and lines for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from absgd.counts import joined, plural
from absgd.datasets import numbered
from absgd.records import (
    CLASS_SCHEMA,
    CLASSES_FILE,
    TRIALS_FILE,
    Verdict,
    column_words,
    further_option,
    is_fraction,
    over_classes,
    read_rows,
    scenario_folder,
    test_metric_of,
)
from tune_runs.confirmation.candidate_results import CandidateResult
from tune_runs.confirmation.rounds import RivalLook, Rounds
from tune_runs.confirmation.scenario_confirmation import ScenarioConfirmation
from tune_runs.console_table import ConsoleFacts, ConsoleTable, TableColumn, together, value_text
from tune_runs.space.model import SearchSpace


def confirmation_tables(space: SearchSpace, confirmations: Mapping[str, ScenarioConfirmation]) -> list[ConsoleTable]:
    """Draw the mean of each candidate and how far the confirmed configuration is ahead of it, a table per scenario."""
    found = _results(confirmations)
    test = column_words(test_metric_of(space.objective.first))
    columns: list[str | TableColumn] = [
        "candidate",
        "n",
        column_words(space.objective.first),
        test,
        "ahead of it by",
        TableColumn("finding", "text"),
    ]
    tables = []
    for scenario, results in found.items():
        of = f"{space.name}, {scenario}" if len(space.scenario_list) > 1 else space.name
        title = f"{of}: confirmed on fresh seeds, mean ± standard deviation at the last epoch"
        table = ConsoleTable(columns, title)
        rounds = confirmations[scenario].rounds
        looks, unit = rounds.last() if rounds else {}, Unit.of(space.objective.first)
        for one in results:
            look = looks.get(one.name)
            found_text = _found_words(look) if look else ""
            table.add_row(one.name, *_cells(one), unit.interval(look) if look else "", found_text)
        tables.append(table)
    return tables


def confirmation_lines(
    confirmations: Mapping[str, ScenarioConfirmation], folder: Path, resume: str = "absgd-tune --confirm DIR"
) -> list[str]:
    """Return the lines below the tables: their meaning, what is undecided and what it would take, incomplete runs.

    Args:
        confirmations: confirmation of each scenario.
        folder: folder of the search, which has the names of the classes.
        resume: command that continues the confirmation, without its `--pairs`.
    """
    found = _results(confirmations)
    lines = _headline(found, confirmations) if found else []
    for scenario, own in confirmations.items():
        results = found.get(scenario, [])
        lines += [f"note: {scenario}: {note}" for note in own.candidates.notes]
        lines += [f"{scenario}: {line}" for line in _ending_lines(own, resume)]
        lines += _absent_classes(scenario, results, folder)
        if missing := sum(one.num_runs - one.num_completed for one in results):
            are = f"{plural(missing, 'run')} {'is' if missing == 1 else 'are'}"
            lines.append(f"note: {scenario}: {are} not complete, see `error` in {TRIALS_FILE}")
    return lines


def _headline(
    found: Mapping[str, Sequence[CandidateResult]], confirmations: Mapping[str, ScenarioConfirmation]
) -> list[str]:
    """Return the line that says what the tables show."""
    read = any(one.test for results in found.values() for one in results)
    test = (
        "each complete run read the test set once, and chose no configuration by it" if read else "no test set was read"
    )
    unit = Unit.of(next(iter(confirmations.values())).metric).words
    return [f"ahead of it by: difference of the test scores, {unit}, with its simultaneous interval; {test}"]


class Unit(NamedTuple):
    """The unit in which differences of a metric are shown."""

    words: str
    factor: float
    decimals: int

    @classmethod
    def of(cls, metric: str) -> Unit:
        """Return points for fractions, else the unit of the metric."""
        return cls("in points", 100.0, 2) if is_fraction(metric) else cls("in units of the loss", 1.0, 4)

    def interval(self, look: RivalLook) -> str:
        """Format a difference and its interval: `+1.20 [0.30, 2.10]`; without the interval where there is none."""
        found = look.comparison
        if math.isnan(found.difference):
            return "-"
        low, high = (self._number(value) for value in (found.low, found.high))
        is_known = math.isfinite(found.low) and math.isfinite(found.high)
        return self._number(found.difference, "+") + (f" [{low}, {high}]" if is_known else "")

    def _number(self, value: float, sign: str = "") -> str:
        return f"{self.factor * value:{sign}.{self.decimals}f}"


def _found_words(look: RivalLook) -> str:
    finding = look.comparison.finding
    is_said = finding == "undecided" and look.left in ("cannot win", "diverged", "no score")
    return f"{finding}, {look.left}" if is_said else finding


def _ending_lines(confirmation: ScenarioConfirmation, resume: str) -> list[str]:
    """Return why the confirmation of a scenario ended, what it left out, and what it would take to decide the rest."""
    rounds = confirmation.rounds
    if rounds is None or rounds.ending is None:
        return []
    lines = []
    if rounds.ending == "no score":
        lines.append(f"`{rounds.subject}` failed or diverged on two fresh pairs, so no further pair was trained")
    if any(one.left == "diverged" for one in rounds.last().values()):
        lines.append(f"`{rounds.subject}` diverged on a fresh pair, so it is not called better")
    if rounds.ending == "worse":
        worse = [name for name, one in rounds.last().items() if one.comparison.finding == "worse"]
        lines.append(f"`{rounds.subject}` is worse than {_listed_names(worse)}, so no further pair was trained")
    if len(rounds.looks) == 1:
        lines.append("one pair of seeds allows no claim")
    if not rounds.looks:
        small = "the epoch budget of the confirmation is too small for one pair of seeds"
        lines.append(small if rounds.ending == "budget" else "no control to compare with, so nothing was confirmed")
    lines += [
        f"{plural(one.num_left_out, 'pair')} left out of the comparison with `{name}`, since a run on it has no score"
        for name, one in rounds.last().items()
        if one.num_left_out
    ]
    return [*lines, *_undecided_lines(confirmation, rounds, resume)]


def _undecided_lines(confirmation: ScenarioConfirmation, rounds: Rounds, resume: str) -> list[str]:
    """Return what it would take to decide what a bound has left undecided."""
    if rounds.ending not in ("budget", "max pairs"):
        return []
    undecided = {name: one for name, one in rounds.last().items() if one.left in ("budget", "max pairs")}
    needed = {name: one.comparison.pairs_needed for name, one in undecided.items()}
    waiting = [name for name, one in undecided.items() if one.is_waiting]
    lines = [
        f"undecided against `{name}`: " + (f"about {plural(more, 'more pair')} for 80 % power" if more else _NO_NUMBER)
        for name, more in needed.items()
        if name not in waiting
    ]
    if waiting:
        lines.append(f"undecided against {_listed_names(waiting)}: trained further once plain training is beaten")
    known = [more for name, more in needed.items() if more and name in confirmation.deciding]
    known = known or [more for more in needed.values() if more]
    if undecided:
        lines.append(f"go on with: {resume} {further_option(rounds.ending, len(rounds.looks) + max(known, default=1))}")
    return lines


_NO_NUMBER = "more than a thousand pairs for 80 % power, or too few pairs to tell"


def _listed_names(names: Sequence[str]) -> str:
    return joined([f"`{name}`" for name in names])


def _absent_classes(scenario: str, results: Sequence[CandidateResult], folder: Path) -> list[str]:
    """Return a line that names the classes without a test image, if there are any."""
    recall = next((one.recall for one in results if None in one.recall), ())
    if not recall:
        return []
    rows = read_rows(scenario_folder(folder, scenario) / CLASSES_FILE, CLASS_SCHEMA)
    names = tuple(row["name"] for row in rows) or tuple(map(str, range(len(recall))))
    absent = numbered(names, [label for label, value in enumerate(recall) if value is None])
    return [f"note: {scenario}: no test image of class {absent}: test accuracies are means{over_classes(recall)}"]


def verdict_facts(verdicts: Sequence[Verdict]) -> ConsoleFacts:
    """Return the verdict on each scenario, and the settings of the configuration that it is about."""
    facts = []
    for one in verdicts:
        facts.append(("verdict:", str(one)))
        if one.configuration:
            settings = ", ".join(together(f"{name} {value_text(value)}") for name, value in one.settings.items())
            facts.append(("", f"{one.configuration}: {settings}"))
    return ConsoleFacts(facts)


def _results(confirmations: Mapping[str, ScenarioConfirmation]) -> dict[str, list[CandidateResult]]:
    """Return the results of each scenario that has any."""
    found = {name: one.results() for name, one in confirmations.items()}
    return {name: results for name, results in found.items() if any(one.num_runs for one in results)}


def _cells(result: CandidateResult) -> tuple[str, ...]:
    spreads = (result.validation, result.test)
    return (str(result.num_completed), *("-" if one is None else str(one) for one in spreads))
