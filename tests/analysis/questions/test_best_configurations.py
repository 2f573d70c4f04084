"""The best configuration is chosen on validation, among finished ones, by the named rule."""

from __future__ import annotations

import random
import statistics
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from absgd import records
from absgd.errors import UserError
from analysis import Runs, SelectionRule, load
from tests.support import run_folders
from tests.support.run_folders import config
from tune_runs.confirmation.candidate_results import candidate_results, winner
from tune_runs.recording.trial_record import TrialRecord


def confirmed_values(runs: Runs, candidate: str, column: str) -> list[float]:
    values: list[float] = runs.trials[runs.trials.candidate == candidate][column].tolist()
    return values


def test_mean_and_spread_over_fresh_seeds(full: Runs) -> None:
    row = full.best().iloc[0]
    validation, test = (confirmed_values(full, "best-1", name) for name in ("metric_last", "test_balanced_accuracy"))
    assert (row.configuration, row.basis, row.n) == ("best-1", "confirmed", 5)
    assert (row.val_mean, row.val_std) == pytest.approx((statistics.fmean(validation), statistics.stdev(validation)))
    assert (row.test_mean, row.test_std) == pytest.approx((statistics.fmean(test), statistics.stdev(test)))
    assert (row.num_completed, row.num_pruned, row.num_diverged) == (4, 11, 1)
    assert (row["rule"], row.test_at) == ("last epoch", "last epoch")


def test_better_test_score_does_not_change_the_choice(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    for k in range(3):
        seeds = {"seeds__data": k, "seeds__train": k}
        folder.add(f"a{k}", config(**seeds), 0.8, phase="confirm", candidate="best-1", test=0.5)
        folder.add(f"b{k}", config(**seeds), 0.7, phase="confirm", candidate="best-2", test=0.9)
    runs = load(folder.write())
    assert runs.best().configuration.tolist() == ["best-1"]
    order = runs.cautions().set_index("kind").text["order"]
    assert order.startswith("Validation and test disagree about the best of the candidates: best-2 (90.00 % on test)")


def test_a_control_is_never_the_best(full: Runs) -> None:
    assert not full.best(by=["scenario", "phase"]).configuration.isin(["ce", "ce-lr", "focal"]).any()


def test_pruned_trials_do_not_rank(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    folder.add("pruned", config(), 0.99, status="pruned", num_epochs=4)
    folder.add("diverged", config(), 0.98, status="diverged", num_epochs=4)
    folder.add("finished", config(), 0.60)
    runs = load(folder.write())
    assert runs.best().trial_id.tolist() == ["finished"]
    assert runs.scored.set_index("trial_id").score.dropna().to_dict() == {"finished": 0.60}


def test_ties_go_to_the_lower_loss_as_in_a_search(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    folder.add("a", config(), 0.8)
    folder.add("b", config(), 0.8)
    folder.epochs[-1]["val_loss"] = 0.1
    assert load(folder.write()).best().trial_id.tolist() == ["b"]


def test_candidate_that_lost_a_seed_ranks_below_complete_ones(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    for k in range(3):
        seeds = {"seeds__data": k, "seeds__train": k}
        status = "diverged" if k == 2 else "completed"
        folder.add(f"a{k}", config(**seeds), 0.9, phase="confirm", candidate="best-1", status=status, test=0.9)
        folder.add(f"b{k}", config(**seeds), 0.7, phase="confirm", candidate="best-2", test=0.9)
    runs = load(folder.write())
    assert runs.best().configuration.tolist() == ["best-2"]
    only = Runs(runs.trials[runs.trials.candidate == "best-1"], runs.epochs, runs.folders)
    assert only.best().n.tolist() == [2]
    assert "best-1 did not complete on 1 of 3 fresh seeds." in only.cautions().text.tolist()


RUNS = {
    (number, k): config(seeds__data=k, seeds__train=k, attention__lam=float(number))
    for number in range(1, 5)
    for k in range(3)
}
"""Config of each candidate on each fresh seed."""
RUN = st.tuples(st.sampled_from([0.5, 0.625, 0.75]), st.sampled_from(["completed", "completed", "diverged", "failed"]))


CANDIDATES = st.lists(st.lists(RUN, min_size=3, max_size=3), min_size=2, max_size=4)


@settings(max_examples=10, deadline=None)
@given(st.lists(CANDIDATES, min_size=4, max_size=4))
def test_best_equals_the_searchs(scenarios: list[list[list[tuple[float, records.Status]]]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = run_folders.RunFolderBuilder(Path(place) / "r")
        for folder.scenario, runs_of in zip("abcd", scenarios, strict=True):
            for number, own in enumerate(runs_of, start=1):
                for k, (value, status) in enumerate(own):
                    run, name = RUNS[number, k], f"best-{number}"
                    trial_id = f"{folder.scenario}-{name}-{k}"
                    folder.add(trial_id, run, value, phase="confirm", candidate=name, status=status, test=value)
        last_losses = {row["trial_id"]: row["val_loss"] for row in folder.epochs}
        empty = dict.fromkeys(records.TRIAL_SCHEMA.names)
        trials = [TrialRecord.from_row({**empty, **row}, "r") for row in folder.trials]
        table = load(folder.write()).best(by="scenario")
    chosen = {}
    for scenario in "abcd":
        own_trials = [one for one in trials if one.scenario == scenario]
        names = sorted({str(one.candidate) for one in own_trials})
        found = winner(candidate_results(own_trials, last_losses, names, run_folders.METRIC), run_folders.METRIC)
        chosen |= {scenario: found.name} if found else {}
    assert table.set_index("scenario").configuration.to_dict() == chosen


def test_search_controls_of_several_stage_ones_stay_apart(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    for lr, value in ((0.01, 0.6), (0.05, 0.7), (0.1, 0.8)):
        plain = config(loss__name="ce", optimizer__lr=lr).stage_one()
        folder.add(f"c{lr}", plain, value, phase="control")
    folder.add("a", config(optimizer__lr=0.05), 0.75)
    runs = load(folder.write())
    controls = runs.configurations[runs.configurations.is_control]
    assert controls.val_mean.tolist() == [0.6, 0.7, 0.8]
    assert runs.compare("ce").control_mean.tolist() == [0.7]


def test_confirmed_ones_win_over_luckier_trials(full: Runs) -> None:
    lucky = full.trials.assign(metric_last=full.trials.metric_last.where(full.trials.phase != "search", 0.99))
    assert Runs(lucky, full.epochs).best().configuration.tolist() == ["best-1"]


def test_groups_by_the_given_columns(tmp_path: Path, full_folder: Path, search_folder: Path) -> None:
    runs = load([full_folder, search_folder])
    assert runs.best(by=["dataset", "imbalance_type", "imbalance_ratio"]).run.tolist() == ["full"]
    assert runs.best(by=["run"]).run.tolist() == ["full", "searched"]
    with pytest.raises(UserError, match="no column `imbalance`"):
        runs.best(by=["imbalance"])
    assert runs.best(by="run").equals(runs.best(by=["run"]))
    for lists in ("class_counts", "test_recall", "milestones"):
        with pytest.raises(UserError, match=f"one value each to group by, got `{lists}`, which holds lists"):
            runs.best(by=[lists])
    for odd in (5, [5], None):
        with pytest.raises(UserError, match="expected names of columns to group by, got"):
            runs.best(by=odd)  # type: ignore[arg-type]


CURVE = [0.1, 0.2, 0.3, 0.9, 0.4, 0.5, 0.5, 0.6, 0.8, 0.7]


@pytest.mark.parametrize(
    ("rule", "k", "score", "title"),
    [
        ("last", 3, 0.7, "last epoch"),
        ("mean_last_k", 3, statistics.fmean(CURVE[-3:]), "mean of the last 3 epochs"),
        ("mean_last_k", 20, statistics.fmean(CURVE), "mean of the last 20 epochs"),
        ("chosen", 3, 0.9, "epoch best on validation"),
    ],
)
def test_selection_rules(tmp_path: Path, rule: str, k: int, score: float, title: str) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    folder.add("a", config(), 0, curve=CURVE, test=0.5, test_chosen=0.6)
    row = load(folder.write(), rule=rule, last_k=k).best().iloc[0]  # type: ignore[arg-type]
    assert row.val_mean == pytest.approx(score)
    assert row["rule"] == title
    assert row.test_mean == (0.6 if rule == "chosen" else 0.5)


def test_unknown_rule() -> None:
    with pytest.raises(UserError, match=r"expected one of `last`, .* as selection rule"):
        SelectionRule("lst")  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [0, -1, 2.5, "a", True, None])
def test_k_is_a_whole_number_of_epochs(full: Runs, k: object) -> None:
    with pytest.raises(UserError, match="expected a whole number of at least one epoch for `mean_last_k`, got"):
        full.using("mean_last_k", k)  # type: ignore[arg-type]


def test_metric_of_few_classes_on_test(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    folder.add("a", config(), 0.7, metric="val_few_accuracy", test=0.6)
    row = load(folder.write()).best().iloc[0]
    assert row.test_mean == pytest.approx(0.6 * 0.85)  # the one class of fewer than 20 images


@pytest.mark.parametrize("metric", ["val_balanced_accuracy", "val_loss"])
def test_best_equals_the_recorders_best(tmp_path: Path, metric: str) -> None:
    from tune_runs.recording.recorder import Recorder
    from tune_runs.recording.scenario_images import ScenarioImages

    source = random.Random(0)
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    for scenario in ("a", "b", "c"):
        folder.scenario = scenario
        for number in range(12):
            end = source.choice((0.5, 0.6, 0.7))  # many ties, which the loss breaks
            status = "completed" if number % 3 else "pruned"
            folder.add(f"{scenario}-{number}", config(), end, metric=metric, status=status)  # type: ignore[arg-type]
            if metric != "val_loss":
                folder.epochs[-1]["val_loss"] = source.random()
        folder.add(
            f"{scenario}-control", config(), 0.99 if metric != "val_loss" else 0.01, phase="control", metric=metric
        )
    recorder = Recorder(folder.write({"metric": metric}), records.SearchObjective((metric,)), ScenarioImages())
    recorder.load()
    table = load(folder.path).best(by="scenario").set_index("scenario")
    wanted = {name: recorder.best(name) for name in ("a", "b", "c")}
    assert table.trial_id.to_dict() == {name: one.trial_id for name, one in wanted.items() if one is not None}
    assert table.val_mean.to_dict() == {
        name: one.summary.metric_last for name, one in wanted.items() if one is not None
    }
    assert len(table) == 3
