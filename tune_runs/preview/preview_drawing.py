"""The preview of a search as tables and lines for a terminal.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.console import Group, RenderableType

from absgd.counts import joined, plural
from tune_runs.console_table import ConsoleFacts, ConsoleTable, TableColumn, together
from tune_runs.preview.confirm_cost import ConfirmCost
from tune_runs.preview.pairs_cost import PairsCost
from tune_runs.preview.scenario_cost import ScenarioCost
from tune_runs.preview.search_preview import SearchPreview, written
from tune_runs.preview.tuning_cost import TuningCost
from tune_runs.space.model import SearchSpace
from tune_runs.space.parameters import numeral
from tune_runs.space.resources import ResourcesConfig
from tune_runs.trunks.stage_one_sharing import StageOneSharing

_MIB = 2**20
_NOTABLE = 0.25  # relative difference between the stages; a smaller one is noise in a measurement of seconds


def draw_preview(numbers: SearchPreview) -> RenderableType:
    """Draw a preview as tables and lines for a terminal."""
    columns = [TableColumn(name, "text") for name in ("parameter", "range", "when")]
    parameters = ConsoleTable(columns, title=f"{numbers.space.name}: searched")
    for line in numbers.parameters:
        parameters.add_row(line.name, line.range, line.condition or "always")
    return Group(parameters, _epochs_table(numbers), ConsoleFacts(_facts(numbers)))


def _epochs_table(numbers: SearchPreview) -> ConsoleTable:
    """Draw trunks and epochs of each scenario, once where all are alike, and of all together."""
    costs = numbers.scenarios
    alike = len(costs) > 1 and len({dataclasses.replace(cost, name="") for cost in costs}) == 1
    table = ConsoleTable(["epochs of", *_cells(numbers, costs)])
    for cost in costs[:1] if alike else costs:
        table.add_row(f"each of {len(costs)}" if alike else cost.name, *_cells(numbers, [cost]).values())
    if len(costs) > 1:
        table.add_section()
        table.add_row(f"all {len(costs)}", *_cells(numbers, costs).values())
    return table


def _cells(numbers: SearchPreview, costs: Sequence[ScenarioCost]) -> dict[str, str]:
    """Return the cells of a row by column: the cost of some scenarios together."""
    trunks = sum(cost.sharing.expected_trunks for cost in costs if cost.sharing.shares)
    shared = sum(cost.from_scratch if cost.shared is None else cost.shared for cost in costs)
    cells = {
        "trunks": f"{trunks:.0f}" if trunks else "none",
        "snapshots": f"{sum(cost.num_snapshots for cost in costs):,}" if trunks else "none",
        "from scratch": f"{sum(cost.from_scratch for cost in costs):,}",
        "shared": f"{shared:,}" if trunks else "none",
    }
    if numbers.rungs:
        expected = f"{sum(cost.expected for cost in costs):,}"
        cells["with stopping"] = expected if numbers.stopping.is_modelled else "not estimated"
    if any(cost.time for cost in numbers.scenarios):
        times = [cost.time.stage_one_s for cost in costs if cost.time]
        cells["s an epoch"] = _range_words(times) if times else "not measured"
    return cells


def _facts(numbers: SearchPreview) -> list[tuple[str, str]]:
    space, count = numbers.space, len(numbers.scenarios)
    used = (
        ", ".join(together(f"{name} {written(value)}") for name, value in point.items())
        for point in numbers.points.inside
    )
    return [
        (plural(count, "scenario"), ", ".join(cost.name for cost in numbers.scenarios)),
        *_runs_facts(numbers),
        *([("passes", numbers.passes)] if numbers.passes else []),
        ("chosen by", _chosen_by(space)),
        *_sharing_facts(numbers),
        *_stopping_facts(numbers),
        *_pairs_facts(numbers),
        *_tuning_facts(numbers),
        *_confirm_facts(numbers),
        ("time budget", "none" if space.time_budget is None else f"{numeral(space.time_budget)} s"),
        ("one run takes", _occupied(space.resources.on(numbers.num_gpus))),
        ("at once here", _concurrency(numbers)),
        *_time_facts(numbers),
        *(("tried first", point) for point in used),
        *(("note", note) for note in numbers.points.notes),
    ]


def _chosen_by(space: SearchSpace) -> str:
    objective = space.objective
    if not objective.is_pareto:
        return objective.first
    return f"{' and '.join(objective.metrics)}, a Pareto search; one trial of its front by {objective.words}"


def _runs_facts(numbers: SearchPreview) -> list[tuple[str, str]]:
    """Count trials and controls: where trials have stage ones of their own, each of these has a control."""
    space = numbers.space
    said = {cost.name: _runs_words(space, cost.sharing) for cost in numbers.scenarios}
    if len(set(said.values())) == 1:
        return [("runs of each", said[numbers.scenarios[0].name])]
    return [(f"runs of {name}", words) for name, words in said.items()]


def _runs_words(space: SearchSpace, shared: StageOneSharing) -> str:
    controls = "1 control"
    if shared.shares and shared.expected_trunks != 1:
        controls = f"about {plural(round(shared.expected_trunks), 'control')}, one for each stage one"
    return f"{plural(space.num_trials, 'trial')} and {controls}, {plural(space.epochs, 'epoch')} each"


def _sharing_facts(numbers: SearchPreview) -> list[tuple[str, str]]:
    """Describe how stage one is shared, and where trunks are kept."""
    costs, folder = numbers.scenarios, numbers.space.trunks
    facts = _facts_of_each(numbers, "stage one", [_sharing_words(numbers.space, cost.sharing) for cost in costs])
    if folder is not None and any(cost.sharing.shares for cost in costs):
        facts.append(("trunks", f"kept in {folder}"))
    return facts


def _sharing_words(space: SearchSpace, shared: StageOneSharing) -> str:
    if not shared.shares:
        more = round(space.num_trials * shared.mean_fork_epoch)
        cost = f": {plural(more, 'more epoch')} than if all shared one" if more else ""
        return f"not shared: {shared.reason}. Every trial trains its own{cost}"
    forks = f"trials fork from it after {_listed_epochs(shared.fork_epochs)}"
    if shared.expected_trunks == 1:
        return f"trained once, by the control; {forks}"
    kinds = f"by {joined(shared.deciding)}" if shared.deciding else "plus the control's own"
    return f"{shared.num_stage_ones:,} possible, {kinds}; each is trained once, and its {forks}"


def _facts_of_each(numbers: SearchPreview, name: str, words: Sequence[str]) -> list[tuple[str, str]]:
    """Return what is said of each scenario as facts under one name: a single fact where all say the same."""
    if len(set(words)) == 1:
        return [(name, words[0])]
    return [(name, f"of {cost.name}: {one}") for cost, one in zip(numbers.scenarios, words, strict=True)]


def _total_facts(costs: Sequence[PairsCost | TuningCost]) -> list[tuple[str, str]]:
    """Return the epochs of all scenarios together, where there are several."""
    if len(costs) == 1:
        return []
    expected, most = sum(one.expected for one in costs), sum(one.epochs for one in costs)
    return [("", f"in all scenarios about {plural(expected, 'more epoch')}, {most:,} at most")]


def _listed_epochs(epochs: Sequence[int]) -> str:
    """Shorten a rising list of epochs: all of them, or the first and the last."""
    if len(epochs) == 1:
        return plural(epochs[0], "epoch")
    if len(epochs) <= 6 and epochs[-1] - epochs[0] >= len(epochs):
        return f"{_listed(epochs)} epochs"
    return f"{epochs[0]} to {epochs[-1]} epochs"


def _stopping_facts(numbers: SearchPreview) -> list[tuple[str, str]]:
    space, stopping = numbers.space, numbers.stopping
    if stopping.rule is None:
        return [("early stopping", stopping.words)]
    if not stopping.rungs:
        return [("early stopping", f"no rung before the last epoch ({space.epochs}), so every trial trains to the end")]
    if stopping.rule == "median":
        rungs = f"from {stopping.rungs[0]} {stopping.unit} on, at every epoch"
    else:
        left = ", ".join(f"{trials:.0f}" for trials in numbers.survivors)
        rungs = f"after {_listed(stopping.rungs)} {stopping.unit}"
        if stopping.final_rungs:
            rungs += f", then after {_listed_epochs(stopping.final_rungs)}"
        rungs += f"; about {left} of {space.num_trials} trials continue"
    return [("early stopping", stopping.words), ("rungs", rungs)]


def _pairs_facts(numbers: SearchPreview) -> list[tuple[str, str]]:
    """Describe the further seed pairs."""
    if numbers.space.seeds.pairs == 1:
        return [("seeds", "one pair: the trials of one data seed and training seed are compared")]
    return [*_facts_of_each(numbers, "seeds", list(map(_pairs_words, numbers.pairs))), *_total_facts(numbers.pairs)]


def _pairs_words(cost: PairsCost) -> str:
    if not cost.sizes:
        return "no further pair: one trial has nothing to be compared with"
    best, most = (joined(list(map(str, sizes))) for sizes in (cost.expected_sizes, cost.sizes))
    about = best if best == most else f"about {best} (at most {most})"
    pairs = f"{plural(len(cost.sizes), 'further pair')} of seeds, each with a control"
    return f"{about} trials go on to {pairs}: about {plural(cost.expected, 'more epoch')}, {cost.epochs:,} at most"


def _tuning_facts(numbers: SearchPreview) -> list[tuple[str, str]]:
    """Describe the tuned controls."""
    if not numbers.tuning:
        return []
    facts = _facts_of_each(numbers, "tuned controls", list(map(_tuning_words, numbers.tuning)))
    facts += [("note", note) for note in dict.fromkeys(note for one in numbers.tuning for note in one.notes)]
    return [*facts, *_total_facts(numbers.tuning)]


def _tuning_words(cost: TuningCost) -> str:
    runs = joined([f"{name} {number}" for name, number in cost.num_runs])
    return f"configurations tried: {runs}: about {plural(cost.expected, 'more epoch')}, {cost.epochs:,} at most"


def _confirm_facts(numbers: SearchPreview) -> list[tuple[str, str]]:
    """Describe the confirmation."""
    if not numbers.confirmation:
        return [("confirmation", "none: the test set is not read")]
    facts = _facts_of_each(numbers, "confirmation", list(map(_confirm_words, numbers.confirmation)))
    if len(numbers.confirmation) == 1:
        return facts
    expected = sum(round(one.expected.epochs) for one in numbers.confirmation)
    most = sum(one.epochs for one in numbers.confirmation)
    return [*facts, ("", f"in all scenarios about {plural(expected, 'epoch')}, {plural(most, 'epoch')} at most")]


def _confirm_words(cost: ConfirmCost) -> str:
    if not cost.controls:
        return "the best configuration has no control to compare with, so nothing is trained"
    pairs = f"up to {plural(cost.max_pairs, 'fresh pair')} of seeds, while a comparison is undecided"
    expected = f"about {plural(round(cost.expected.epochs), 'epoch')} on {cost.expected.num_rounds:.1f} pairs expected"
    most = f"at most {plural(cost.num_runs, 'run')} and {plural(cost.epochs, 'epoch')}"
    return f"the best configuration and {joined(cost.controls)}, on {pairs}: {expected}, {most}"


def _occupied(resources: ResourcesConfig) -> str:
    each = f"{plural(resources.cpu, 'CPU')}, {plural(resources.gpu or 0, 'GPU')}"
    if resources.cohort > 1:
        return f"a part of a process of {resources.cohort}, which has {each}"
    return each if resources.ranks == 1 else f"{resources.ranks} processes on one node, each {each}"


def _listed(epochs: Sequence[int]) -> str:
    return ", ".join(map(str, epochs))


def _concurrency(numbers: SearchPreview) -> str:
    have = f"{plural(numbers.num_cpus, 'CPU')}, {plural(numbers.num_gpus, 'GPU')}"
    return f"{numbers.concurrent} ({have})" if numbers.concurrent else f"none: only {have} here"


def _time_facts(numbers: SearchPreview) -> list[tuple[str, str]]:
    times = [cost.time for cost in numbers.scenarios if cost.time]
    if not times:
        return []
    seconds = f"{_range_words([time.stage_one_s for time in times])} s an epoch on this machine"
    if any(abs(time.stage_two_s / time.stage_one_s - 1) > _NOTABLE for time in times):
        seconds += f", {_range_words([time.stage_two_s for time in times])} s in stage two"
    part = min(time.trained_share for time in times)
    alone = (
        "one run at a time: parallel runs and other load change it; start-up of Ray and of each trial is not included"
    )
    measured = alone if part == 1 else f"{part:.0%} of an epoch, {alone}"
    size = sum(cost.num_snapshots * cost.time.snapshot_bytes for cost in numbers.scenarios if cost.time)
    is_whole = len(times) == len(numbers.scenarios)
    facts = [("snapshots", f"{size / _MIB:,.1f} MiB in all")] if size and is_whole else []
    if numbers.wall_s is not None:
        about = duration_words(numbers.wall_s) + ("" if numbers.stopping.is_modelled else " if no trial is stopped")
        facts.append(("wall time", f"about {about} ({seconds}, {numbers.concurrent} at once)"))
    if numbers.pairs_s is not None:
        facts.append(("", f"and about {duration_words(numbers.pairs_s)} for the further pairs of seeds"))
    if numbers.tuning_s is not None:
        facts.append(("", f"and about {duration_words(numbers.tuning_s)} for the tuned controls"))
    if numbers.confirm_s is not None:
        facts.append(("", f"and about {duration_words(numbers.confirm_s)} for the confirmation"))
    if numbers.space.resources.ranks > 1:
        measured += f"; with one process, but a run has {numbers.space.resources.ranks}"
    if numbers.space.resources.cohort > 1:
        measured += "; the wall time does not account for the turns of a cohort"
    return [*facts, ("measured", measured)]


def _range_words(seconds: Sequence[float]) -> str:
    """Return seconds in words, or the least and the most of them.

    >>> _range_words([0.123, 0.124]), _range_words([0.9, 12.34])
    ('0.12', '0.9 to 12')
    """
    texts = [f"{round(value) if value >= 10 else float(f'{value:.2g}'):g}" for value in (min(seconds), max(seconds))]
    return texts[0] if texts[0] == texts[1] else " to ".join(texts)


def duration_words(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> duration_words(42.3), duration_words(700), duration_words(20000), duration_words(300000)
    ('42 s', '12 min', '5.6 h', '3.5 days')
    """
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min")):
        if seconds < limit:
            return f"{max(1, round(seconds / size))} {unit}"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"
