"""The results of a confirmation as a table and lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from absgd.counts import plural
from absgd.datasets import numbered
from absgd.records import (
    CLASS_SCHEMA,
    CLASSES_FILE,
    TRIALS_FILE,
    Verdict,
    column_words,
    over_classes,
    read_rows,
    scenario_folder,
    test_metric_of,
)
from tune_runs.confirm.candidate_results import CandidateResult, winner
from tune_runs.confirm.scenario_confirmation import ScenarioConfirmation
from tune_runs.console_table import ConsoleFacts, ConsoleTable, together, value_text
from tune_runs.space.model import SearchSpace


def confirmation_tables(space: SearchSpace, confirmations: Mapping[str, ScenarioConfirmation]) -> list[ConsoleTable]:
    """Draw the mean and standard deviation of each candidate, a table for each scenario; a star marks the winner."""
    found = _results(confirmations)
    test = column_words(test_metric_of(space.metric))
    columns = ["candidate", "n", column_words(space.metric), test, f"{test} (chosen epoch)"]
    tables = []
    for scenario, results in found.items():
        of = f"{space.name}, {scenario}" if len(space.scenario_list) > 1 else space.name
        title = f"{of}: confirmed on fresh seeds, mean ± standard deviation at the last epoch"
        best = winner(results, space.metric) if confirmations[scenario].has_result else None
        table = ConsoleTable(columns, title)
        for one in results:
            table.add_row(one.name + (" *" if best and one.name == best.name else ""), *_cells(one))
        tables.append(table)
    return tables


def confirmation_lines(confirmations: Mapping[str, ScenarioConfirmation], folder: Path) -> list[str]:
    """Return the lines below the table: the meaning of the star, left-out controls and incomplete runs.

    Args:
        confirmations: confirmation of each scenario.
        folder: folder of the search, which has the names of the classes.
    """
    found = _results(confirmations)
    read = any(one.test for results in found.values() for one in results)
    test = "each complete run read the test set once, and no choice used it" if read else "no test set was read"
    lines = [f"*: the best mean on validation of `best-1`, ...; {test}"]
    for scenario, results in found.items():
        lines += [f"note: {scenario}: {note}" for note in confirmations[scenario].candidates.notes]
        lines += _absent_classes(scenario, results, folder)
        if missing := sum(one.num_runs - one.num_completed for one in results):
            are = f"{plural(missing, 'run')} {'is' if missing == 1 else 'are'}"
            lines.append(f"note: {scenario}: {are} not complete, see `error` in {TRIALS_FILE}")
    return lines


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
    spreads = (result.validation, result.test, result.test_chosen)
    return (str(result.num_completed), *("-" if one is None else str(one) for one in spreads))
