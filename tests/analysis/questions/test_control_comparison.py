"""Differences to controls: which pairs, which claims, and where those of a sequential confirmation are read."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from absgd import records
from absgd.comparisons import ClaimRules, compare_at_look
from absgd.errors import UserError
from analysis import Runs, load
from tests.support import run_folders
from tests.support.run_folders import GAINS, GAINS_LR


def test_confirmed_runs_are_compared_on_test_by_seed(full: Runs) -> None:
    row = full.compare(control="ce").iloc[0]
    assert (row.configuration, row.basis, row.on, row.n) == ("best-1", "confirmed", "test", 5)
    assert row.difference == pytest.approx(statistics.fmean(GAINS))
    assert (row["rule"], row.finding, row.margin) == ("last epoch", "better", 0.005)
    assert pd.isna(row.left)


def test_confirmed_runs_are_one_look_by_the_rules_of_a_confirmation(full: Runs) -> None:
    trials = full.trials[full.trials.phase == "confirm"]
    names = ["ce", "ce-lr", "focal", "balanced-softmax"]
    scores = {
        str(name): dict(zip(own.seed_data, own.test_balanced_accuracy, strict=True))
        for name, own in trials.groupby("candidate")
    }
    expected = compare_at_look("best-1", scores, names, ClaimRules(0.005), None)
    table = full.compare(control=None)
    for one, (_, row) in zip(expected, table.iterrows(), strict=True):
        assert tuple(row[["control", "n", "finding"]]) == (one.rival, one.n, one.finding)
        numbers = ["difference", "std", "df", "low", "high", "p_value"]
        assert row[numbers].tolist() == pytest.approx([getattr(one, name) for name in numbers])
        assert row.pairs_needed == (one.pairs_needed or pytest.approx(math.nan, nan_ok=True))


def test_on_validation_when_asked(full: Runs) -> None:
    row = full.compare(control="ce", on="validation").iloc[0]
    assert row.difference == pytest.approx(statistics.fmean(GAINS) + 0.01)


def test_every_control(full: Runs) -> None:
    table = full.compare(control=None)
    assert table.control.tolist() == ["ce", "ce-lr", "focal", "balanced-softmax"]
    assert table.set_index("control").difference["ce-lr"] == pytest.approx(statistics.fmean(GAINS_LR))


def test_order_of_rows_does_not_matter(full: Runs) -> None:
    shuffled = Runs(full.trials.sample(frac=1, random_state=1), full.epochs, full.folders)
    ours, theirs = full.compare(), shuffled.compare()
    assert ours.p_value.tolist() == pytest.approx(theirs.p_value.tolist())


def test_seeds_without_partner_are_counted(full: Runs) -> None:
    lost = full.trials[~full.trials.trial_id.str.endswith("-ce-2")]
    row = Runs(lost, full.epochs, full.folders).compare().iloc[0]
    assert (row.n, row.num_unpaired) == (4, 1)
    assert row.difference == pytest.approx(statistics.fmean([g for k, g in enumerate(GAINS) if k != 2]))


def test_before_confirmation_one_seed_on_validation(searched: Runs) -> None:
    row = searched.compare().iloc[0]
    best = searched.trials[(searched.trials.phase == "search") & (searched.trials.status == "completed")]
    assert (row.basis, row.on, row.n) == ("one seed", "validation", 1)
    assert row.difference == pytest.approx(best.metric_last.max() - 0.80)
    assert math.isnan(row.p_value)


def test_control_of_the_same_stage_one(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "two")
    for lr, value in ((0.05, 0.7), (0.1, 0.75)):
        plain = run_folders.config(loss__name="ce", optimizer__lr=lr).stage_one()
        folder.add(f"control-{lr}", plain, value, phase="control")
    folder.add("t", run_folders.config(optimizer__lr=0.1), 0.8)
    row = load(folder.write()).compare().iloc[0]
    assert row.control_mean == 0.75


def test_level_is_shared_by_the_scenarios(tmp_path: Path) -> None:
    for k in range(3):
        folder = run_folders.RunFolderBuilder(tmp_path / f"r{k}", f"scenario-{k}")
        run_folders.confirm_rows(folder, gains=[gain - 0.008 * k for gain in GAINS])
        folder.write()
    together = load(tmp_path / "*").compare(control=None)
    alone = load(tmp_path / "r1").compare(control=None)
    assert set(together.num_scenarios) == {3}
    own = together[together.scenario == "scenario-1"]
    assert own.p_value.tolist() == pytest.approx([min(1.0, 3 * p) for p in alone.p_value], rel=0.5)
    assert (own.p_value.to_numpy() >= alone.p_value.to_numpy()).all()


def looked(tmp_path: Path, **changes: Any) -> Path:
    """Write a confirmed folder with the record of a sequential confirmation: two looks at `ce`, one at the others."""
    path = run_folders.confirmed(tmp_path / "sequential")
    scenario = "digits-exp-0.05"
    shared = {"scenario": scenario, "subject": "best-1", "on": "test", "metric": run_folders.METRIC}
    numbers = {"std": 0.01, "df": 7.0, "p_value": 0.3, "margin": 0.02, "level": 0.05, "num_left_out": 1}
    row = {**shared, **numbers, "difference": 0.003, "low": -0.03, "high": 0.04, "finding": "undecided"}
    rows = [
        {**row, "look": 2, "rival": "ce", "n": 2, "pairs_needed": 8},
        {**row, "look": 2, "rival": "ce-lr", "n": 2, "finding": "equivalent", "left": "decided"},
        {**row, "look": 1, "rival": "focal", "n": 1, "left": "cannot win", "low": None, "high": None, "p_value": None},
        {**row, "look": 3, "rival": "ce", "n": 3, "pairs_needed": 9, "left": "max pairs", **changes},
    ]
    file = records.confirmation_file(path, scenario)
    file.parent.mkdir(parents=True, exist_ok=True)
    records.write_table(file, records.as_table(records.CONFIRMATION_SCHEMA, rows))
    return path


def test_findings_of_a_sequential_confirmation_are_those_it_recorded(tmp_path: Path) -> None:
    runs = load(looked(tmp_path))
    table = runs.compare(control=None).set_index("control")
    assert table.finding.to_dict() == {
        "ce": "undecided", "ce-lr": "equivalent", "focal": "undecided", "balanced-softmax": "better",
    }  # fmt: skip
    ce = table.loc["ce"]
    assert (ce.n, ce.pairs_needed, ce.left, ce.margin, ce.num_unpaired) == (3, 9, "max pairs", 0.02, 1)
    assert (table.loc["focal", "n"], table.loc["focal", "left"]) == (1, "cannot win")
    assert math.isnan(table.loc["focal", "low"])
    assert pd.isna(table.loc["balanced-softmax", "left"])  # not in the record: one look at its pairs


@pytest.mark.parametrize(("changes", "options"), [({"on": "test"}, {"on": "validation"}), ({"subject": "best-2"}, {})])
def test_a_record_about_something_else_is_not_read(
    tmp_path: Path, changes: dict[str, Any], options: dict[str, Any]
) -> None:
    row = load(looked(tmp_path, **changes)).compare(**options).iloc[0]
    assert row.n == 5


def test_another_selection_rule_is_one_look_at_all_pairs(tmp_path: Path) -> None:
    assert load(looked(tmp_path), rule="mean_last_k").compare(on="validation").n.tolist() == [5]


def test_a_damaged_record_is_a_problem_and_not_read(tmp_path: Path) -> None:
    path = looked(tmp_path)
    records.confirmation_file(path, "digits-exp-0.05").write_bytes(b"PAR1 no")
    runs = load(path)
    assert any("confirmation.parquet" in str(one) for one in runs.problems)
    assert runs.compare().n.tolist() == [5]


@pytest.mark.parametrize(("confirm", "margin"), [({"margin": 2}, 0.02), ({"margin": "x"}, 0.005), (None, 0.005)])
def test_margin_is_that_of_the_space_in_points(tmp_path: Path, confirm: dict[str, Any] | None, margin: float) -> None:
    path = run_folders.confirmed(tmp_path / "r")
    (path / records.SPACE_FILE).write_text(yaml.safe_dump({"confirm": confirm}))
    assert load(path).compare().margin.tolist() == [margin]


def test_a_loss_is_better_when_smaller(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "loss")
    plain = run_folders.config(loss__name="ce").stage_one()
    folder.add("control", plain, 0.5, phase="control", metric="val_loss")
    folder.add("good", run_folders.config(), 0.4, metric="val_loss")
    folder.add("bad", run_folders.config(), 0.9, metric="val_loss")
    runs = load(folder.write())
    assert runs.best().trial_id.tolist() == ["good"]
    assert runs.compare().difference.tolist() == [pytest.approx(0.1)]


def test_unknown_side_is_refused(full: Runs) -> None:
    wanted = r"expected one of `auto`, `test`, `validation`, got 'tset'; did you mean `test`\? \(on\)"
    with pytest.raises(UserError, match=wanted):
        full.compare(on="tset")  # type: ignore[arg-type]


def test_unknown_control_is_named_with_the_known_ones(full: Runs) -> None:
    with pytest.raises(UserError, match=r"has a control 'ce-lrr'; did you mean `ce-lr`\?; there are ce, ce-lr, focal"):
        full.compare(control="ce-lrr")
