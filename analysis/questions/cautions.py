"""Reasons to doubt a choice: the edge of the space, divergence, few seeds, validation and test that disagree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd

from absgd.counts import after_epochs, plural
from analysis.frames.run_frames import Row, RunFrames
from analysis.frames.selection import sign_of
from analysis.frames.typed_frames import KEY, SCENARIO, total_epochs
from analysis.questions.class_results import last_recall
from analysis.questions.winners import confirmed_configurations, shown_trials, trials_of, winner_of
from analysis.wording.number_text import score_text, setting_text
from analysis.wording.titles import title_of_control, title_of_parameter

CautionKind = Literal[
    "edge",
    "diverged",
    "failed",
    "unfinished",
    "seeds",
    "few_finished",
    "order",
    "split",
    "control",
    "classes",
    "rule",
    "predictions",
]
MOST_CLASSES = 10
"""Classes that a caution names."""
FEWEST_SEEDS = 3
"""Seeds below which a confirmation gets a caution."""
MOST_FILES = 3
"""Files of predictions that cautions name."""
MOST_OF_ERROR = 300
"""Characters of an error that a caution quotes; trials.parquet has all of them."""


class Caution(NamedTuple):
    """One reason to doubt a choice."""

    kind: CautionKind
    text: str
    """A sentence."""


def cautions(
    runs: RunFrames, unusable_predictions: Mapping[tuple[str, str], Sequence[str]] | None = None
) -> pd.DataFrame:
    """Return the reasons to doubt the choices.

    Args:
        runs: the runs.
        unusable_predictions: (folder, scenario) -> sentences about kept predictions that are damaged or missing.

    Returns:
        One row per caution: `folder`, `scenario`, `kind` (`edge`: the best is at the edge of the space; `diverged`,
        `failed`, `unfinished`: trials diverged, failed or did not end; `seeds`: the winner has fewer than three, or
        some configuration did not complete on all; `few_finished`: few search trials completed; `order`: validation
        and test disagree about the best; `split`: the runs of a pair had different images; `control`: a control was
        made for another configuration than the winner; `classes`: validation or test lack images of some classes, so
        that accuracies are over the others; `rule`: the selection rule had fewer epochs than it names; `predictions`:
        kept predictions are damaged or missing), `text` (a sentence).
    """
    unusable = unusable_predictions or {}
    rows = [
        {**dict(zip(SCENARIO, one.key, strict=True)), **caution._asdict()}
        for one in runs.scenarios()
        for caution in (*_of_scenario(one), *_of_predictions(unusable.get(one.key, ())))
    ]
    return pd.DataFrame(rows, columns=[*SCENARIO, "kind", "text"])


def _of_predictions(sentences: Sequence[str]) -> Iterator[Caution]:
    for text in sentences[:MOST_FILES]:
        yield Caution("predictions", _cut(text))
    if len(sentences) > MOST_FILES:
        yield Caution("predictions", f"{len(sentences) - MOST_FILES} more files of predictions are left out.")


def _of_scenario(runs: RunFrames) -> Iterator[Caution]:
    yield from _unlucky_trials(runs)
    winner = winner_of(runs)
    if winner is None:
        return
    confirmed = runs.rows(confirmed_configurations)
    yield from _absent_classes(runs, winner)
    yield from _few_epochs(runs, winner)
    yield from _edge_of_space(runs, winner)
    yield from _few_seeds(winner, is_searched=len(runs.searched) > 1)
    yield from _lost_seeds(runs, confirmed)
    yield from _untested_seeds(confirmed)
    yield from _different_images(runs, winner)
    yield from _foreign_controls(confirmed, winner)
    yield from _disagreement(confirmed, winner)


def _unlucky_trials(runs: RunFrames) -> Iterator[Caution]:
    search, counts, of_all = runs.searched, Counter(runs.searched.status), Counter(runs.trials.status)
    diverged, failed, completed = counts["diverged"], counts["failed"], counts["completed"]
    unfinished = of_all["running"] + of_all["interrupted"]
    if diverged:
        yield Caution("diverged", f"{diverged} of {plural(len(search), 'search trial')} diverged{_where(search)}.")
    if failed:
        yield Caution("failed", f"{failed} of {plural(len(search), 'search trial')} failed: {_errors(search)}.")
    if unfinished:
        yield Caution("unfinished", f"{plural(unfinished, 'trial')} did not end: continue the search with --resume.")
    if counts["pruned"] and completed < 3:
        text = f"Early stopping left {plural(completed, 'finished trial')} of {len(search)} to choose from."
        yield Caution("few_finished", text)


def _where(search: pd.DataFrame) -> str:
    """Name the values at which trials diverged, if one setting separates them from the trials that did not."""
    columns = ["lam", "ab_alpha", "lr"]
    lost = search.loc[search.status == "diverged", columns]
    kept = search.loc[search.status.isin(("completed", "pruned")), columns]
    for column in columns:
        largest = lost[column].abs().max()
        if lost[column].notna().all() and kept[column].notna().any() and largest < kept[column].abs().min():
            return f", all of them with {title_of_parameter(column)} up to {setting_text(float(largest))}"
    return ""


def _errors(search: pd.DataFrame) -> str:
    errors = search.error[search.status == "failed"].fillna("no reason recorded")
    return _cut(str(errors.value_counts().index[0]))


def _cut(error: str) -> str:
    return error if len(error) <= MOST_OF_ERROR else f"{error[:MOST_OF_ERROR]}..."


def _edge_of_space(runs: RunFrames, winner: pd.Series[Any]) -> Iterator[Caution]:
    for parameter in runs.parameters:
        value = winner.get(parameter.column)
        end = parameter.edge(float(value)) if parameter.is_range and not pd.isna(value) else None
        if end is not None:
            bound = parameter.low if end == "low" else parameter.high
            wider = "lower" if end == "low" else "higher"
            name = title_of_parameter(parameter.column)
            yield Caution(
                "edge",
                f"The best {name}, {setting_text(value)}, is at the edge of the space ({end} end {bound:g}): "
                f"search {wider} values too.",
            )


def _few_seeds(winner: pd.Series[Any], is_searched: bool) -> Iterator[Caution]:
    if winner.num_pairs > 1 and winner.basis != "confirmed":
        text = f"Chosen among many trials over {plural(int(winner.num_pairs), 'pair')} of seeds: still optimistic."
        yield Caution("seeds", text)
        return
    if winner.basis != "confirmed":
        chosen = "Chosen on one seed among many trials: such a score is optimistic, and proves nothing."
        yield Caution("seeds", chosen if is_searched else "One run on one seed: its variation is unknown.")
        return
    if winner.n < FEWEST_SEEDS:
        yield Caution("seeds", f"{plural(int(winner.n), 'fresh seed')}: fewer than {FEWEST_SEEDS} say little.")


def _absent_classes(runs: RunFrames, winner: pd.Series[Any]) -> Iterator[Caution]:
    """Name the classes without images in validation or test: no accuracy of the scenario counts them."""
    rows = runs.rows(_winner_recalls)
    for part in ("validation", "test"):
        known = [getattr(row, part) for row in rows if isinstance(getattr(row, part), list)]
        absent = sorted({label for recall in known for label, value in enumerate(recall) if pd.isna(value)})
        if absent:
            names = [runs.class_name(winner.folder, winner.scenario, label) for label in absent[:MOST_CLASSES]]
            listed = ", ".join([*names, *(["..."] if len(absent) > MOST_CLASSES else [])])
            num_classes = max(map(len, known))
            yield Caution(
                "classes",
                f"There is no {part} image of class {listed}: accuracies on {part} are means over "
                f"{num_classes - len(absent)} of {num_classes} classes.",
            )


def _winner_recalls(runs: RunFrames) -> pd.DataFrame:
    """Return the recall of each class of the winner's trials, on `validation` at the last epoch and on `test`."""
    shown = shown_trials(runs)
    own = shown.loc[shown.order == 0, [*KEY, "scenario", "test_recall"]]
    return own[SCENARIO].assign(validation=last_recall(runs.epochs, own), test=own.test_recall)


def _few_epochs(runs: RunFrames, winner: pd.Series[Any]) -> Iterator[Caution]:
    if runs.rule.name != "mean_last_k":
        return
    epochs = total_epochs(trials_of(runs, winner)).min()
    if epochs < runs.rule.k:
        yield Caution(
            "rule", f"The {runs.rule.title} is that of {plural(int(epochs), 'epoch')}: the runs have no more."
        )


def _lost_seeds(runs: RunFrames, confirmed: Sequence[Row]) -> Iterator[Caution]:
    """Name configurations and controls of the confirmation that lack seeds, with the reason if one is recorded."""
    for row in (row for row in confirmed if not row.is_whole):
        own = runs.trials[(runs.trials.phase == "confirm") & (runs.trials.candidate == row.configuration)]
        errors = own.error[own.status.isin(("diverged", "failed"))].dropna()
        reason = f": {_cut(str(errors.iloc[0]))}" if len(errors) else ""
        lost = f"{row.num_seeds - row.n} of {row.num_seeds}"
        name = title_of_control(str(row.configuration))
        yield Caution("seeds", f"{name} did not complete on {lost} fresh seeds{reason}.")


def _untested_seeds(confirmed: Sequence[Row]) -> Iterator[Caution]:
    """Name configurations of which some completed runs did not read the test set."""
    for row in (row for row in confirmed if 0 < row.num_tested < row.n):
        name = title_of_control(str(row.configuration))
        lost = f"{row.n - row.num_tested} of {row.n}"
        yield Caution("seeds", f"{name} was not tested on {lost} fresh seeds: it has no mean on test.")


def _foreign_controls(confirmed: Sequence[Row], winner: pd.Series[Any]) -> Iterator[Caution]:
    """Name controls made for another configuration's learning rate or switch, as happens when a search is extended."""
    if winner.basis != "confirmed" or any(pd.isna(winner[name]) for name in ("lr", "ab_alpha", "switch_epoch")):
        return
    controls = {str(row.configuration): row for row in confirmed if row.is_control}
    raised = float(winner.lr) / float(winner.ab_alpha)
    for name, row in controls.items():
        if name.endswith("-lr") and not pd.isna(row.lr) and not math.isclose(row.lr, raised, rel_tol=1e-6):
            text = f"{title_of_control(name)} was trained at {setting_text(row.lr)}"
            yield Caution("control", f"The control {text}, not at lr / ab_alpha of the winner, {setting_text(raised)}.")
    for name, row in controls.items():
        epoch = row.class_balance_from_epoch
        if name.endswith("-drw") and str(epoch).isdecimal() and int(epoch) != int(winner.switch_epoch):
            text = f"{title_of_control(name)} reweights {after_epochs(int(epoch))}"
            yield Caution("control", f"The control {text}, not {after_epochs(int(winner.switch_epoch))} as the winner.")


def _different_images(runs: RunFrames, winner: pd.Series[Any]) -> Iterator[Caution]:
    """Check that runs with the same data seed had the same images."""
    if winner.basis != "confirmed":
        return
    if runs.rows(_mixed_splits):
        yield Caution("split", "Runs with the same data seed had different images, so they do not form pairs.")


def _mixed_splits(runs: RunFrames) -> pd.DataFrame:
    """Return the data seeds of a confirmation whose runs had different images, with the second split of each."""
    confirmed = runs.trials.phase == "confirm"
    own = runs.trials.loc[confirmed, [*SCENARIO, "seed_data", "split_hash"]].dropna().drop_duplicates()
    return own[own.duplicated([*SCENARIO, "seed_data"])]


def _disagreement(confirmed: Sequence[Row], winner: pd.Series[Any]) -> Iterator[Caution]:
    """Check that the best on test is the best on validation: among the candidates, then with the controls.

    Means over other pairs of seeds, as of controls that left early or wait, are not compared.
    """
    if winner.basis != "confirmed":
        return
    whole = [row for row in confirmed if row.is_whole and row.num_seeds == winner.num_seeds]
    able = [row for row in whole if not math.isnan(row.test_mean)]
    sign = sign_of(winner.metric)
    candidates = [row for row in able if not row.is_control]
    for rows, among in ((candidates, "candidates"), (able, "candidates and controls")):
        if len(rows) < 2:
            continue
        on_test = max(rows, key=lambda row: row.test_mean * sign)
        on_validation = max(rows, key=lambda row: row.rank_mean)
        if on_test.configuration != on_validation.configuration:
            ahead, behind = (
                f"{title_of_control(row.configuration)} ({score_text(winner.metric, row.test_mean)} on test)"
                for row in (on_test, on_validation)
            )
            text = f"Validation and test disagree about the best of the {among}: {ahead} is ahead on test of {behind}."
            yield Caution("order", f"{text} The choice stays with validation.")
            return
