"""The summary printed at the end of a search."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from absgd import records
from absgd.terminal import shortened
from tune_runs.confirm.confirmation_table import confirmation_lines, confirmation_table, plain_table
from tune_runs.confirm.scenario_confirmation import ScenarioConfirmation
from tune_runs.driver.trial_cells import score, searched_value
from tune_runs.recording.recorder import Recorder
from tune_runs.space.model import SearchSpace


def summary_table(space: SearchSpace, recorder: Recorder) -> Table:
    """Draw the best trial of each scenario and its plain control."""
    title = f"{space.name}: best by {space.metric} at the last epoch"
    table = plain_table(title, "scenario", "best", "control", *space.search)
    for scenario in space.scenario_list:
        best = recorder.best(scenario.name)
        values = (searched_value(best, name) if best else "-" for name in space.search)
        table.add_row(scenario.name, score(best), score(recorder.control(scenario.name)), *values)
    return table


def print_summary(
    space: SearchSpace,
    recorder: Recorder,
    console: Console,
    confirmations: Mapping[str, ScenarioConfirmation] | None = None,
) -> None:
    """Print the best trials, the confirmation as far as there is one, and where the results are stored."""
    console.print(summary_table(space, recorder))
    folder = shortened(recorder.folder)
    lines = ["control: the plain base criterion; both scores on validation, from one seed"]
    if table := confirmation_table(space, confirmations or {}):
        for line in (*lines, ""):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        console.print(table)
        lines = confirmation_lines(confirmations or {})
    lines.append(f"results: {folder / records.TRIALS_FILE}, {folder / records.EPOCHS_FILE}")
    found = [scenario.name for scenario in space.scenario_list if recorder.best(scenario.name)]
    lines += [f"again:   absgd-train --config {records.best_file(folder, name)}" for name in found]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
