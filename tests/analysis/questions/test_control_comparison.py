"""Paired differences and corrected p-values, compared with plain loops and scipy."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from absgd.errors import UserError
from analysis import Runs, load
from analysis.questions.paired_statistics import holm, paired
from tests.support import run_folders
from tests.support.run_folders import GAINS, GAINS_LR


def test_paired_is_the_t_test_of_scipy() -> None:
    source = np.random.default_rng(0)
    for n in (2, 3, 5, 30):
        ours, theirs = source.normal(0.8, 0.02, n), source.normal(0.79, 0.02, n)
        found = paired((ours - theirs).tolist())
        reference = stats.ttest_rel(ours, theirs)
        interval = reference.confidence_interval(0.95)
        assert found.p_value == pytest.approx(reference.pvalue, rel=1e-12)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-12)
        assert (found.n, found.difference) == (n, pytest.approx(float(np.mean(ours - theirs))))


def test_paired_by_hand() -> None:
    values = [0.01, 0.03, 0.02]
    found = paired(values)
    half = stats.t.ppf(0.975, 2) * statistics.stdev(values) / math.sqrt(3)
    assert found.low == pytest.approx(0.02 - half)
    assert found.high == pytest.approx(0.02 + half)
    assert found.std == pytest.approx(0.01)


def test_one_pair_has_only_a_difference() -> None:
    found = paired([0.02])
    assert (found.n, found.difference) == (1, 0.02)
    assert all(math.isnan(value) for value in found[2:])


def test_no_pair() -> None:
    assert paired([]).n == 0


def test_equal_scores_are_equal() -> None:
    assert paired([0.0, 0.0, 0.0])[1:] == (0.0, 0.0, 0.0, 0.0, 1.0)


def test_constant_difference_is_not_certainty() -> None:
    found = paired([0.01, 0.01])
    assert found.difference == 0.01
    assert math.isnan(found.p_value)


def naive_holm(p_values: list[float]) -> list[float]:
    """Apply Holm's definition: the largest p * (m - rank) over all p-values up to each one."""
    ranks = {index: rank for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i]))}
    found = []
    for index in range(len(p_values)):
        before = [i for i in range(len(p_values)) if ranks[i] <= ranks[index]]
        found.append(max(min(1.0, p_values[i] * (len(p_values) - ranks[i])) for i in before))
    return found


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_the_naive_loop(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(naive_holm(p_values))


def test_holm_leaves_out_missing_p_values() -> None:
    found = holm([0.01, math.nan, 0.02])
    assert found[0] == 0.02
    assert math.isnan(found[1])
    assert found[2] == 0.02


def test_confirmed_runs_are_compared_on_test_by_seed(full: Runs) -> None:
    row = full.compare(control="ce").iloc[0]
    reference = stats.ttest_1samp(GAINS, 0)
    assert (row.configuration, row.basis, row.on, row.n) == ("best-1", "confirmed", "test", 5)
    assert row.difference == pytest.approx(statistics.fmean(GAINS))
    assert row.p_value == pytest.approx(reference.pvalue)
    assert row.p_holm == pytest.approx(row.p_value)
    assert row["rule"] == "last epoch"


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


def test_p_values_are_corrected_over_scenarios(tmp_path: Path) -> None:
    for k in range(3):
        folder = run_folders.RunFolderBuilder(tmp_path / f"r{k}", f"scenario-{k}")
        run_folders.confirm_rows(folder, gains=[gain - 0.008 * k for gain in GAINS])
        folder.write()
    table = load(tmp_path / "*").compare()
    assert table.p_holm.tolist() == pytest.approx(naive_holm(table.p_value.tolist()))
    assert table.num_tests.tolist() == [3, 3, 3]


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
