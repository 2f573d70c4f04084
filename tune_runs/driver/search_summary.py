"""The summary printed at the end of a search."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from rich.console import Console, Group

from absgd import records
from absgd.plugins.loading import plugin_words
from absgd.terminal import shortened
from tune_runs.confirmation.best_file import ChosenTrial, chosen_trial
from tune_runs.confirmation.confirmation_table import confirmation_lines, confirmation_tables
from tune_runs.confirmation.scenario_confirmation import ScenarioConfirmation
from tune_runs.console_table import ConsoleTable, TableColumn, print_sentence, print_whole
from tune_runs.progress.trial_cells import metric_words, score, searched_value
from tune_runs.recording.pair_scores import gain_words
from tune_runs.recording.recorder import Recorder
from tune_runs.space.model import SearchSpace


def summary_table(
    space: SearchSpace, recorder: Recorder, confirmations: Mapping[str, ScenarioConfirmation]
) -> ConsoleTable:
    """Draw the chosen configuration of each scenario with its settings, and its plain control."""
    title = f"{space.name}: chosen configurations, {metric_words(space)} at the last epoch"
    gains = ["gain"] if space.seeds.pairs > 1 else []
    table = ConsoleTable(["scenario", TableColumn("chosen", "text"), "score", "control", *gains, *space.search], title)
    for scenario in space.scenario_list:
        chosen = chosen_trial(recorder, scenario.name, confirmations.get(scenario.name))
        trial = chosen.trial if chosen else None
        values = (searched_value(trial, name) if trial else "-" for name in space.search)
        control = recorder.control(scenario.name)
        scores = {one.trial.trial_id: one for one in recorder.scores(scenario.name)} if gains else {}
        known = scores.get(trial.trial_id) if trial else None
        gain = [gain_words(known) if known else "-"] if gains else []
        table.add_row(scenario.name, _name(chosen), score(trial), score(control), *gain, *values)
    return table


def _name(chosen: ChosenTrial | None) -> str:
    """Return `best-1` where it was confirmed, else the number of the trial."""
    return "-" if chosen is None else chosen.name if chosen.result else f"trial {chosen.trial.number}"


def print_summary(
    space: SearchSpace,
    recorder: Recorder,
    console: Console,
    confirmations: Mapping[str, ScenarioConfirmation] | None = None,
) -> None:
    """Print the best trials, the confirmation as far as there is one, and where the results are stored."""
    console.print(summary_table(space, recorder, confirmations or {}))
    folder = shortened(recorder.folder)
    lines = ["control: the plain base criterion; both scores on validation, from the one seed of the search"]
    if space.seeds.pairs > 1:
        of = f" in {space.objective.words}" if space.objective.is_pareto else ""
        lines = [
            "control: the plain base criterion; both scores on validation, from the first pair of seeds",
            f"gain: mean over pairs of seeds of the score{of} minus that of the pair's control, "
            "by which trials were chosen",
        ]
    if space.objective.is_pareto:
        lines.append(f"chosen by {space.objective.words}; absgd-report draws the Pareto front")
    if tables := confirmation_tables(space, confirmations or {}):
        for line in (*lines, ""):
            print_sentence(console, line)
        console.print(Group(*tables))
        lines = []
    resume = shlex.join(["absgd-tune", "--confirm", str(folder), *plugin_words()])
    for line in (*lines, *confirmation_lines(confirmations or {}, recorder.folder, resume)):
        print_sentence(console, line)
    print_whole(console, f"results: {folder / records.TRIALS_FILE}, {folder / records.EPOCHS_FILE}")
    for name in (scenario.name for scenario in space.scenario_list if recorder.best(scenario.name)):
        again = shlex.join(["absgd-train", "--config", str(records.best_file(folder, name)), *plugin_words()])
        print_whole(console, f"again:   {again}")
